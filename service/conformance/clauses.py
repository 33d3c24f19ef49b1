"""State the clauses that can be checked from outside: what is asked for, by whom, and how to comply.

Ids are those of docs/contract.md.
"""

from types import MappingProxyType
from typing import Final

from service.conformance.clause import Clause, Force, Needs

_HOSTING: Final = "AWS guide, Custom Inference Code with Hosting Services"
_BATCH: Final = "AWS guide, Custom Inference Code with Batch Transform"
_INVOKE: Final = "AWS API reference, InvokeEndpoint"
_TRANSFORM: Final = "AWS API reference, CreateTransformJob"
_PIPELINE: Final = "AWS guide, Inference pipelines"
_MULTI: Final = "AWS guide, Custom Containers Contract for Multi-Model Endpoints"
_SERVERLESS: Final = "AWS guide, Serverless endpoints"
_RUN_TRAINING: Final = "AWS guide, How SageMaker Runs Your Training Image"
_SIGNALS: Final = "AWS guide, How SageMaker Signals Algorithm Success and Failure"
_OUTPUT: Final = "AWS guide, How SageMaker Processes Training Output"
_OBSERVABILITY: Final = "AWS guide, Detailed observability"
_SDK: Final = "SageMaker Python SDK, serializers"
_AWS_IMAGES: Final = "AWS's own inference containers"
_FIELD: Final = "Reports from users; see docs/contract.md"

_M: Final = Force.MUST
_S: Final = Force.SHOULD
_O: Final = Force.OPTIONAL
_URL: Final = Needs.URL
_IMAGE: Final = Needs.IMAGE
_TRAINING: Final = Needs.TRAINING

# fmt: off
_ALL: Final = (
    # Start, signals and ports.
    Clause("C1", _M, _IMAGE,
           "Starts as `docker run IMAGE serve` and keeps running.",
           "Give the image an ENTRYPOINT that takes the argument serve, or a program named serve on its "
           "PATH.",
           _HOSTING),
    Clause("C2", _M, _IMAGE,
           "The entry point is in exec form, so that signals reach the server and not a shell.",
           'Write ENTRYPOINT ["program", "argument"]; a shell script must end in exec.',
           _HOSTING),
    Clause("C3", _M, _IMAGE,
           "The entry point is not tini or another init program.",
           "Make the server itself the entry point; it gets the arguments serve and train.",
           _HOSTING),
    Clause("C4", _M, _IMAGE,
           "After SIGTERM it ends what is in flight and exits before SIGKILL, 30 seconds later.",
           "Handle SIGTERM in process 1: stop listening, finish open requests, exit; cap the wait below "
           "30 s.",
           _HOSTING),
    Clause("C5", _M, _IMAGE,
           "The image starts as root.",
           "Leave USER out of the Dockerfile, and drop privileges in the program if wanted.",
           _HOSTING),
    Clause("C6", _M, _IMAGE,
           "Listens on port 8080 of all interfaces.",
           "Bind 0.0.0.0:8080, not 127.0.0.1 and not the framework's own port.",
           _HOSTING),
    Clause("C7", _S, _IMAGE,
           "Listens on SAGEMAKER_BIND_TO_PORT instead of 8080 where that is set, and says so by the "
           "label com.amazonaws.sagemaker.capabilities.accept-bind-to-port=true.",
           "Read the variable at the start and add the label; without both it cannot stand in a "
           "pipeline.",
           _PIPELINE),
    Clause("C8", _O, _IMAGE,
           "Opens no second port outside SAGEMAKER_SAFE_PORT_RANGE.",
           "Use a unix socket between a proxy and the server, or a port of that range.",
           _PIPELINE),
    Clause("C9", _M, _URL,
           "Accepts connections within 250 ms, also while it is busy.",
           "Accept on an event loop or in a thread that does no other work; raise the listen backlog.",
           _HOSTING),
    Clause("C10", _S, _URL,
           "Takes any Host header: SageMaker sends model.aws.local:8080.",
           "Remove lists of allowed hosts.",
           _FIELD),
    Clause("C12", _S, _URL,
           "A connection that is kept alive can be used again.",
           "Answer with Connection: close where the connection ends; otherwise leave it open.",
           _AWS_IMAGES),
    # GET /ping.
    Clause("C13", _M, _URL,
           "GET /ping answers 200.",
           "Add a route GET /ping that answers 200 with an empty body.",
           _HOSTING),
    Clause("C14", _M, _URL,
           "Each ping is answered within 2 seconds, also while invocations run.",
           "Answer /ping apart from inference: predict in a thread or a worker process, never on the "
           "event loop, and keep /ping itself free of work.",
           _HOSTING),
    Clause("C15", _S, _URL,
           "POST /ping answers like GET: the guide names POST for both routes.",
           "Register /ping for GET and POST.",
           _HOSTING),
    Clause("C16", _M, _IMAGE,
           "Pings are answered with 200 within 8 minutes of the start.",
           "Load the model faster, or set ContainerStartupHealthCheckTimeoutInSeconds; look into the "
           "log.",
           _HOSTING),
    Clause("C17", _S, _IMAGE,
           "Health means something: a container whose model cannot be used is never healthy.",
           "Answer /ping with 503 until the model is loaded, or exit when it cannot be.",
           _HOSTING),
    # POST /invocations.
    Clause("C21", _M, _URL,
           "POST /invocations answers 200 to a valid request.",
           "Add a route POST /invocations; where it is there, give a request it understands with "
           "--request FILE:CONTENT_TYPE.",
           _HOSTING),
    Clause("C22", _M, _URL,
           "Unknown request headers change nothing.",
           "Ignore headers that the code does not know.",
           _HOSTING),
    Clause("C23", _M, _URL,
           "Content-Type may be absent, in any case of letters, and with parameters.",
           "Compare media types without parameters and case; take an absent one for a default, or "
           "answer 415.",
           _INVOKE),
    Clause("C24", _S, _URL,
           "application/octet-stream, the default of the SageMaker SDK, is read or refused with a 4xx.",
           "Look at the first byte to tell JSON from CSV, or answer 415.",
           _SDK),
    Clause("C25", _M, _URL,
           "Accept may be absent, */*, or a list with q-values; an unknown type alone is 406.",
           "Negotiate: default for absent and */*, the first type of the list that can be made, else "
           "406.",
           _AWS_IMAGES),
    Clause("C26", _M, _URL,
           "An answer comes within 60 seconds.",
           "Make the model faster or payloads smaller, or use asynchronous inference.",
           _INVOKE),
    Clause("C27", _M, _URL,
           "Payloads of 6 MiB are taken, and better of 25 MB (the documents disagree).",
           "Raise the body limit of the framework and of a proxy before it (client_max_body_size in "
           "nginx).",
           _INVOKE),
    Clause("C28", _M, _URL,
           "Errors are answers with the right status, at most 2048 bytes, without a stack trace.",
           "Catch exceptions at the edge: 400 for what the client did, one short sentence, the trace in "
           "the log.",
           _INVOKE),
    Clause("C29", _S, _URL,
           "X-Amzn-SageMaker-Custom-Attributes is taken; what is sent back is at most 1024 visible "
           "ASCII characters.",
           "Ignore the header or echo it, without any other bytes.",
           _INVOKE),
    Clause("C30", _S, _URL,
           "The other X-Amzn-SageMaker-* headers are tolerated.",
           "Ignore them.",
           _INVOKE),
    Clause("C31", _S, _URL,
           "text/csv is answered as exactly that, without a charset.",
           "Set the header by hand; frameworks add ; charset=utf-8, which the next container of a "
           "pipeline may refuse.",
           _PIPELINE),
    Clause("C32", _M, _URL,
           "Fifty requests at once are all answered.",
           "Queue instead of refusing; raise the listen backlog and the number of threads or workers.",
           _HOSTING),
    Clause("C34", _M, _IMAGE,
           "The model folder is read-only, and nothing is written below /opt/ml.",
           "Write to /tmp; set PYTHONDONTWRITEBYTECODE=1.",
           _HOSTING),
    Clause("C35", _M, _IMAGE,
           "The model archive is a gzip tar named *.tar.gz that holds no links.",
           "Pack with: tar -czhf model.tar.gz -C FOLDER .",
           _HOSTING),
    Clause("C36", _S, _IMAGE,
           "Without any model it answers or exits with an error, instead of hanging.",
           "Check for the model at the start; exit with a message, or answer /ping with 503.",
           "AWS API reference, CreateModel"),
    Clause("C40", _M, _IMAGE,
           "Starts without any network.",
           "Put all files into the image or the model; download and install nothing at the start.",
           "AWS guide, Network isolation"),
    Clause("C41", _M, _IMAGE,
           "Logs go to stdout and stderr.",
           "Log to the standard streams, unbuffered (PYTHONUNBUFFERED=1), not to files.",
           "AWS guide, Log SageMaker with CloudWatch"),
    Clause("C42", _S, _URL,
           "GET /metrics answers Prometheus text, which SageMaker scrapes by default.",
           "Expose /metrics in text format 0.0.4 with a Prometheus client library.",
           _OBSERVABILITY),
    Clause("C43", _S, _URL,
           "An unknown path is a clean 404.",
           "Let no route or proxy catch all paths; newer front doors try paths like "
           "/v1/chat/completions.",
           "AWS guide, OpenAI-compatible endpoints"),
    Clause("C44", _S, _IMAGE,
           "The image is for linux on amd64, as most instances are.",
           "Build with --platform linux/amd64, or deploy on a Graviton instance.",
           _FIELD),
    # Batch transform.
    Clause("C46", _M, _IMAGE,
           "With the variables of batch transform it starts and answers like any other.",
           "Read SAGEMAKER_BATCH and its kin without regard to case, and default what is absent.",
           _BATCH),
    Clause("C48", _S, _URL,
           "GET /execution-parameters, where there is one, has the documented keys and types, and "
           "MaxConcurrentTransforms x MaxPayloadInMB is at most 100.",
           'Answer {"MaxConcurrentTransforms": 1, "BatchStrategy": "MULTI_RECORD", "MaxPayloadInMB": 6}.',
           _BATCH),
    Clause("C49", _S, _URL,
           "BatchStrategy is MULTI_RECORD or SINGLE_RECORD.",
           "Spell it as documented; the SDK's local mode alone wants MultiRecord.",
           _BATCH),
    Clause("C51", _M, _URL,
           "CSV may end its lines with LF or CRLF, and lack the last one.",
           "Read CSV with a CSV reader instead of splitting on a newline.",
           _TRANSFORM),
    Clause("C52", _S, _URL,
           "JSON split by line is read: one value a line under application/json.",
           "When the body is not one document, read it line by line.",
           _TRANSFORM),
    Clause("C53", _M, _URL,
           "Each record gets its own output record, for 1, 2 and 1000 of them.",
           "Answer one line (or element) for each record, in order.",
           _BATCH),
    Clause("C54", _S, _URL,
           "Answers of lines end with a newline, or batch output fuses rows.",
           "End CSV and JSON Lines with a newline.",
           _TRANSFORM),
    Clause("C55", _S, _URL,
           "The answer can have the type of the request, as joining input and output needs.",
           "Honour Accept for every content type that is read.",
           _TRANSFORM),
    Clause("C56", _S, _URL,
           "A bad record is a 4xx, or a placeholder in its place.",
           "Validate records and answer 400 with the number of the bad one.",
           _BATCH),
    Clause("C57", _M, _URL,
           "Bodies come in chunks without Content-Length when MaxPayloadInMB is 0.",
           "Use a server that reads chunked bodies (WSGI servers differ), and do not trust "
           "Content-Length.",
           _TRANSFORM),
    # Other modes of hosting.
    Clause("C64", _S, _IMAGE,
           "The image is at most 10 GB, the limit of serverless endpoints.",
           "Start from a slim base and leave out caches and build tools.",
           _SERVERLESS),
    Clause("C66", _S, _IMAGE,
           "Serves as an unprivileged user with a read-only file system but for /tmp.",
           "Write to /tmp only; make all files readable: chmod -R o+rX.",
           _SERVERLESS),
    Clause("C69", _M, Needs.MULTI_MODEL,
           "Models are loaded, listed, described, invoked and unloaded with the documented statuses: "
           "200, 404 where it is not loaded, 409 where it is already.",
           "Implement POST and GET /models, GET and DELETE /models/NAME, POST /models/NAME/invoke as "
           "documented.",
           _MULTI),
    Clause("C71", _S, _URL,
           "Answers say their content type, always the same one for the same request.",
           "Set Content-Type on every answer; data capture compares it.",
           "AWS guide, Data capture"),
    # Training.
    Clause("C73", _M, _TRAINING,
           "Trains as `docker run IMAGE train` and exits with 0.",
           "Let the entry point take the argument train; see the failure file and the log.",
           _RUN_TRAINING),
    Clause("C74", _M, _TRAINING,
           "The image has no files below /opt/ml, which SageMaker mounts over.",
           "Install code elsewhere, for example /opt/program.",
           "AWS guide, Docker images for training"),
    Clause("C76", _S, _TRAINING,
           "Training tolerates absent configuration files.",
           "Take defaults where a file of /opt/ml/input/config is not there.",
           _RUN_TRAINING),
    Clause("C78", _M, _TRAINING,
           "The model is left as plain files in /opt/ml/model, and the same image serves it.",
           "Write the artefacts into /opt/ml/model, without links, in the form that serve reads.",
           _OUTPUT),
    Clause("C80", _M, _TRAINING,
           "A failure exits with another code than 0 and is described in /opt/ml/output/failure.",
           "Catch exceptions at the edge of the job, write one sentence to the file, exit with 1.",
           _SIGNALS),
    Clause("C81", _M, _TRAINING,
           "After SIGTERM the training ends before SIGKILL, 120 seconds later.",
           "Handle SIGTERM: save what there is, and exit.",
           "AWS API reference, StopTrainingJob"),
    Clause("C115", _M, _IMAGE,
           "The image's manifest is of Docker's media type, which SageMaker takes.",
           "Build with --provenance=false --sbom=false and --output type=docker.",
           _FIELD),
)
# fmt: on

CLAUSES: Final = MappingProxyType({clause.id: clause for clause in _ALL})
"""In the order of the contract."""
