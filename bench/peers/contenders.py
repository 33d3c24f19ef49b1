"""List the servers of the load comparison: how the documentation of each starts it, and what it takes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from bench.peers.dialects import Dialect

JOBLIB: Final = "model.joblib"


class Kind(StrEnum):
    """Say what a server is here for."""

    OURS = "ours"
    PEER = "peer"
    CEILING = "ceiling"
    """It does not look at the records."""


class Media(StrEnum):
    """Name what is posted."""

    JSON = "application/json"
    CSV = "text/csv"
    NPY = "application/x-npy"


@dataclass(frozen=True, slots=True)
class Contender:
    """Hold one server; in its texts @PORT@, @WORKERS@, @FOLDER@, @STORE@ and @ARTIFACT@ are filled in."""

    name: str
    title: str
    kind: Kind
    command: Sequence[str]
    """Its first word is a program of the environment, or of the machine."""
    environment: str | None = None
    """The file of pins in requirements/; ours when there is none."""
    programs: Sequence[str] = ()
    """What the machine must have."""
    shown: Sequence[str] = ()
    """The packages whose versions matter."""
    variables: Mapping[str, str] = field(default_factory=dict)
    before: Sequence[str] = ()
    """Run once in its folder before it starts."""
    ping: str = "/ping"
    path: str = "/invocations"
    dialect: Dialect = Dialect.RECORDS
    takes: Sequence[Media] = (Media.JSON,)
    note: str = ""


_OURS: Final = ("python", "-m", "bench.apps")

CONTENDERS: Final = (
    Contender(
        "segserve",
        "segserve",
        Kind.OURS,
        (
            *("python", "-m", "service", "serve", "--host", "127.0.0.1", "--port", "@PORT@"),
            *("--store", "@STORE@", "--workers", "@WORKERS@"),
        ),
        shown=("segserve", "uvicorn"),
        takes=(Media.JSON, Media.CSV, Media.NPY),
    ),
    Contender(
        "byo",
        "AWS bring-your-own example (nginx, gunicorn, Flask)",
        Kind.PEER,
        ("python", "byo_serve.py"),
        environment="byo",
        programs=("nginx",),
        shown=("flask", "gunicorn", "gevent", "pandas"),
        variables={"WORKERS": "@WORKERS@"},
        takes=(Media.JSON, Media.CSV),
        note="JSON added: the example takes CSV only",
    ),
    Contender(
        "sagemaker",
        "SageMaker's scikit-learn image (sagemaker-containers)",
        Kind.PEER,
        ("python", "sagemaker_serve.py"),
        environment="sagemaker-containers",
        programs=("nginx",),
        shown=("sagemaker-containers", "flask", "gunicorn", "gevent"),
        variables={
            "SAGEMAKER_MODEL_SERVER_WORKERS": "@WORKERS@",
            "SAGEMAKER_BIND_TO_PORT": "@PORT@",
            "SAGEMAKER_BASE_DIR": "@FOLDER@/ml",
        },
        takes=(Media.JSON, Media.CSV, Media.NPY),
        note="its library with a handler of our own, since the image's package is in no registry",
    ),
    Contender(
        "mlflow",
        "MLflow",
        Kind.PEER,
        (
            *("mlflow", "models", "serve", "-m", "mlflow-model", "-h", "127.0.0.1", "-p", "@PORT@"),
            *("--env-manager", "local", "--workers", "@WORKERS@"),
        ),
        environment="mlflow",
        shown=("mlflow", "uvicorn"),
        before=("python", "save_mlflow.py"),
        dialect=Dialect.MLFLOW,
        takes=(Media.JSON, Media.CSV),
    ),
    Contender(
        "mlserver",
        "MLServer",
        Kind.PEER,
        ("mlserver", "start", "."),
        environment="mlserver",
        shown=("mlserver", "mlserver-sklearn", "uvloop"),
        variables={
            "MLSERVER_HOST": "127.0.0.1",
            "MLSERVER_HTTP_PORT": "@PORT@",
            "MLSERVER_GRPC_PORT": "@SPARE@",
            "MLSERVER_METRICS_PORT": "@SPARE@",
            "MLSERVER_PARALLEL_WORKERS": "@WORKERS@",
        },
        ping="/v2/health/ready",
        path="/v2/models/segments/infer",
        dialect=Dialect.V2,
        note="the Open Inference Protocol: one flat list of numbers, easier to read than records",
    ),
    Contender(
        "bentoml",
        "BentoML",
        Kind.PEER,
        ("bentoml", "serve", "bentoml_app:Segments", "--host", "127.0.0.1", "--port", "@PORT@"),
        environment="bentoml",
        shown=("bentoml",),
        variables={"WORKERS": "@WORKERS@", "BENTOML_DO_NOT_TRACK": "True"},
        ping="/readyz",
        dialect=Dialect.DATA,
    ),
    Contender(
        "litserve",
        "LitServe",
        Kind.PEER,
        ("python", "litserve_app.py"),
        environment="litserve",
        shown=("litserve", "uvicorn"),
        variables={"WORKERS": "@WORKERS@", "PORT": "@PORT@"},
        ping="/health",
        dialect=Dialect.INPUT,
    ),
    Contender(
        "inference-server",
        "inference-server on gunicorn",
        Kind.PEER,
        (
            *("python", "-m", "gunicorn", "--bind", "127.0.0.1:@PORT@", "--workers", "@WORKERS@"),
            "inference_server_app:create_app()",
        ),
        environment="inference-server",
        shown=("inference-server", "gunicorn"),
        note="gunicorn's default worker closes each connection",
    ),
    Contender(
        "fastapi",
        "FastAPI and pipeline.predict",
        Kind.PEER,
        ("uvicorn", "--host", "127.0.0.1", "--port", "@PORT@", "--workers", "@WORKERS@", "fastapi_app:app"),
        environment="fastapi",
        shown=("fastapi", "uvicorn"),
    ),
    Contender(
        "hello",
        "bare ASGI hello on uvicorn",
        Kind.CEILING,
        (*_OURS, "hello", "@PORT@", "@ARTIFACT@", "@WORKERS@"),
        shown=("uvicorn", "uvloop", "httptools"),
    ),
    Contender(
        "nginx",
        "static nginx",
        Kind.CEILING,
        ("nginx", "-p", "@FOLDER@", "-c", "static_nginx.conf"),
        programs=("nginx",),
    ),
    Contender(
        "copy",
        "ASGI copy of the body on uvicorn",
        Kind.CEILING,
        (*_OURS, "copy", "@PORT@", "@ARTIFACT@", "@WORKERS@"),
        shown=("uvicorn",),
        takes=(Media.NPY,),
    ),
    Contender(
        "fastapi-hello",
        "bare FastAPI hello",
        Kind.CEILING,
        (*_OURS, "fastapi_hello", "@PORT@", "@ARTIFACT@"),
        shown=("fastapi", "uvicorn"),
        takes=(),
        note="only its start is measured",
    ),
)
