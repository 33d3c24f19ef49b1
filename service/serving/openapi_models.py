"""Describe the routes of a server of many models in OpenAPI terms, and which of them follow each other."""

from typing import Any, Final

from service.serving.openapi import INVOCATION, parameter, refusal

_NOT_LOADED: Final = refusal("No model is loaded under this name")
_DONE: Final = {"description": "Done"}


def _links(name: str, *operations: str) -> dict[str, Any]:
    """Return links to operations on the model whose name an expression finds."""
    return {"links": {key: {"operationId": key, "parameters": {"name": name}} for key in operations}}


MODELS_PATHS: Final[dict[str, Any]] = {
    "/models": {
        "get": {
            "operationId": "list_models",
            "summary": "List the models that are loaded, a hundred a page",
            "parameters": [parameter("next_page_token", "query")],
            "responses": {
                "200": {
                    "description": "Names and URLs",
                    **_links("$response.body#/models/0/modelName", "get_model", "unload_model"),
                }
            },
        },
        "post": {
            "operationId": "load_model",
            "summary": "Load a model",
            "requestBody": {
                "required": True,
                "content": {
                    "application/json": {
                        "schema": {
                            "type": "object",
                            "properties": {"model_name": {"type": "string"}, "url": {"type": "string"}},
                            "required": ["model_name", "url"],
                        }
                    }
                },
            },
            "responses": {
                "200": {
                    **_DONE,
                    **_links("$request.body#/model_name", "get_model", "unload_model", "invoke_model"),
                },
                "400": refusal("There is no model that can be used"),
                "409": refusal("The name is taken"),
                "507": refusal("There is no room for another model"),
            },
        },
    },
    "/models/{name}": {
        "parameters": [parameter("name", "path")],
        "get": {
            "operationId": "get_model",
            "responses": {
                "200": {**_DONE, **_links("$request.path.name", "unload_model", "invoke_model")},
                "404": _NOT_LOADED,
            },
        },
        "delete": {
            "operationId": "unload_model",
            "responses": {"200": {**_DONE, **_links("$request.path.name", "get_model")}, "404": _NOT_LOADED},
        },
    },
    "/models/{name}/invoke": {
        "parameters": [parameter("name", "path")],
        "post": {
            **INVOCATION,
            "operationId": "invoke_model",
            "responses": {**INVOCATION["responses"], "404": _NOT_LOADED},
        },
    },
}
