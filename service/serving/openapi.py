"""Describe the fast lane's routes, which FastAPI does not see, in OpenAPI terms."""

from typing import Any, Final

DESCRIPTION: Final = """Customer segments behind Amazon SageMaker's container contract.

POST records to `/invocations` and get a segment's number for each:

    curl -d '[[25, 1250.0], [45, 3000.5]]' localhost:8080/invocations
"""

_EXAMPLE: Final = [[25, 1250.0], [45, 3000.5]]

_FEATURE: Final = {"type": "number", "minimum": 0}
_VECTOR: Final = {
    "type": "array",
    "items": _FEATURE,
    "minItems": 2,
    "maxItems": 2,
    "description": "[Age, Spending_Power]",
}
_RECORD: Final = {
    "oneOf": [
        _VECTOR,
        {
            "type": "object",
            "properties": {"features": _VECTOR},
            "required": ["features"],
        },
        {
            "type": "object",
            "properties": {"Age": _FEATURE, "Spending_Power": _FEATURE},
            "required": ["Age", "Spending_Power"],
        },
        {
            "type": "object",
            "properties": {"Age": _FEATURE, "Income": _FEATURE, "Purchases": _FEATURE},
            "required": ["Age", "Income", "Purchases"],
        },
    ]
}
_RECORDS: Final = {"type": "array", "items": _RECORD}
_PAYLOAD: Final = {
    "oneOf": [
        _RECORDS,
        _RECORD,
        {"type": "object", "properties": {"instances": _RECORDS}, "required": ["instances"]},
        {"type": "object", "properties": {"inputs": _RECORDS}, "required": ["inputs"]},
    ]
}
_ERROR: Final = {
    "type": "object",
    "properties": {
        "error": {
            "type": "object",
            "properties": {
                "code": {"type": "string"},
                "message": {"type": "string"},
                "record": {"type": "integer", "description": "Position of the bad record, from 0"},
                "field": {"type": "string"},
            },
            "required": ["code", "message"],
        }
    },
    "required": ["error"],
}
_DETAIL: Final = {
    "type": "object",
    "properties": {
        "closest_cluster": {"type": "number"},
        "distance_to_cluster": {"type": "number"},
        "segment": {"type": "string"},
        "confidence": {"type": "number"},
        "second": {"anyOf": [{"type": "object"}, {"type": "null"}]},
        "outlier": {"type": "boolean"},
        "border": {"type": "boolean"},
        "distances": {
            "type": "object",
            "additionalProperties": {"type": "number"},
            "description": "To the centre of every segment, by its id",
        },
        "why": {"type": "string", "description": "Which feature decided against the second best"},
        "rule": {"type": "string", "description": "The segment in words, where training found a rule"},
    },
}


def refusal(description: str) -> dict[str, Any]:
    """Return the description of an answer that reports an error."""
    return {"description": description, "content": {"application/json": {"schema": _ERROR}}}


GUARDED: Final[dict[int | str, dict[str, Any]]] = {
    "401": refusal("There is a token, and the request comes without it"),
    "429": refusal("One client asks too fast: Retry-After says when to come again"),
}
"""What else a route answers that is for people."""


_PING: Final = {
    "summary": "Tell whether the model is loaded and assigns records as it must",
    "responses": {"200": {"description": "Healthy"}, "503": {"description": "Not able to answer"}},
}

CONTRACT_PATHS: Final[dict[str, Any]] = {
    "/ping": {
        "get": {**_PING, "operationId": "ping"},
        "post": {**_PING, "operationId": "ping_post"},
    },
    "/invocations": {
        "post": {
            "operationId": "invocations",
            "summary": "Assign a segment to each record",
            "description": "Add `; detail=full` to Accept for distances, names, confidence and flags, "
            "`; on_error=placeholder` to get null or ERROR for a bad record instead of 400.",
            "parameters": [
                {
                    "name": "X-Amzn-SageMaker-Custom-Attributes",
                    "in": "header",
                    "description": "Echoed. May carry detail=full and on_error=placeholder.",
                    "schema": {"type": "string", "maxLength": 1024},
                }
            ],
            "requestBody": {
                "required": True,
                "content": {
                    "application/json": {"schema": _PAYLOAD, "example": _EXAMPLE},
                    "application/jsonlines": {"schema": {"type": "string"}, "example": "[25, 1250.0]\n"},
                    "text/csv": {"schema": {"type": "string"}, "example": "25,1250.0\n45,3000.5\n"},
                    "application/x-npy": {"schema": {"type": "string", "format": "binary"}},
                },
            },
            "responses": {
                "200": {
                    "description": "One label a record, in the order of the records",
                    "content": {
                        "application/json": {
                            "schema": {
                                "oneOf": [
                                    {
                                        "type": "array",
                                        "items": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
                                    },
                                    {
                                        "type": "object",
                                        "properties": {"predictions": {"type": "array", "items": _DETAIL}},
                                        "required": ["predictions"],
                                    },
                                ]
                            },
                            "example": [0, 2],
                        },
                        "application/jsonlines": {"schema": {"type": "string"}},
                        "text/csv": {"schema": {"type": "string"}, "example": "0\n2\n"},
                        "application/x-npy": {"schema": {"type": "string", "format": "binary"}},
                    },
                },
                "400": refusal("A record, or the payload, cannot be read"),
                "406": refusal("No content type in Accept can be produced"),
                "413": refusal("The payload is larger than the cap"),
                "415": refusal("The payload's content type is not supported"),
                "503": refusal("No model is loaded, or more is asked at once than can be answered in time"),
                "504": refusal("The answer took longer than SageMaker would wait"),
            },
        }
    },
    "/metrics": {
        "get": {
            "operationId": "metrics",
            "summary": "Everything that is counted, for Prometheus",
            "responses": {
                "200": {
                    "description": "Totals over all server processes, text format 0.0.4",
                    "content": {"text/plain": {"schema": {"type": "string"}}},
                },
                **GUARDED,
            },
        }
    },
    "/live": {
        "get": {
            "operationId": "live",
            "summary": "Invocations, errors, latency and records: since the start, and in the last minutes",
            "responses": {
                "200": {
                    "description": "`total`, `window` and `series`",
                    "content": {"application/json": {"schema": {"type": "object"}}},
                },
                **GUARDED,
            },
        }
    },
    "/execution-parameters": {
        "get": {
            "operationId": "execution_parameters",
            "summary": "Propose how a batch transform job should call",
            "responses": {
                "200": {
                    "description": "Concurrency, strategy and payload size",
                    "content": {
                        "application/json": {
                            "schema": {
                                "type": "object",
                                "properties": {
                                    "MaxConcurrentTransforms": {"type": "integer"},
                                    "BatchStrategy": {"type": "string"},
                                    "MaxPayloadInMB": {"type": "integer"},
                                },
                            }
                        }
                    },
                }
            },
        }
    },
}

INVOCATION: Final = CONTRACT_PATHS["/invocations"]["post"]


def parameter(name: str, where: str) -> dict[str, Any]:
    """Return the description of a parameter that is text."""
    return {"name": name, "in": where, "required": where == "path", "schema": {"type": "string"}}


RUNTIME_PATHS: Final[dict[str, Any]] = {
    "/endpoints/{name}/invocations": {
        "post": {
            "operationId": "invoke_endpoint",
            "summary": "Answer AWS's own clients as a SageMaker endpoint would",
            "parameters": [
                parameter("name", "path"),
                parameter("X-Amzn-SageMaker-Custom-Attributes", "header"),
                parameter("X-Amzn-SageMaker-Target-Model", "header"),
            ],
            "requestBody": INVOCATION["requestBody"],
            "responses": {
                "200": INVOCATION["responses"]["200"],
                "400": {"description": "ValidationError: AWS would not pass the call on"},
                "424": {"description": "ModelError: the container's refusal, with its status and message"},
            },
        }
    },
}
