"""A small SageMaker over real HTTP: what it takes and answers is checked against botocore's own model.

Its containers are segserve's own `invoke`, on an artifact that is fetched from where ModelDataUrl points.
Statuses move as on AWS: Creating until the clock of the test is advanced by looks, InService or Failed with a
reason, Updating, back to the old configuration when an update fails, Deleting.
"""

import json
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import boto3
import botocore.session
from botocore.validate import ParamValidator

from service.artifact import read_artifact
from service.errors import ServiceError
from service.serving.invocation import Invocation, ServedModel
from service.serving.invocation import invoke as answer_of

ACCOUNT = "123456789012"
REGION = "us-east-1"
LOOKS = 2
"""How many times an endpoint is described before what is under way has happened."""

_KINDS = {"Model": "model", "EndpointConfig": "endpoint-config", "Endpoint": "endpoint"}
_MODEL = botocore.session.get_session().get_service_model("sagemaker")
_BUSY = ("Creating", "Updating", "Deleting")


class RefusalError(Exception):
    """What SageMaker answers instead."""

    def __init__(self, message: str, code: str = "ValidationException") -> None:
        super().__init__(message)
        self.code = code


class SageMaker:
    """Keep models, configurations, endpoints and tags in memory."""

    def __init__(self) -> None:
        self.things: dict[str, dict[str, dict[str, Any]]] = {kind: {} for kind in _KINDS}
        self.tags: dict[str, list[dict[str, str]]] = {}
        self.packages: dict[str, list[dict[str, Any]]] = {}
        self.served: dict[str, dict[str, ServedModel]] = {}
        self.pending: dict[str, tuple[int, Callable[[], None]]] = {}
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.refusals: dict[str, RefusalError] = {}
        self.lock = threading.RLock()
        self.failure = (
            "The primary container for production variant AllTraffic did not pass the ping health check. "
            "Please check CloudWatch logs for this endpoint."
        )
        """FailureReason of an image whose name holds `broken`."""
        self.wrong_answer: bytes | None = None
        self.deaf: frozenset[str] = frozenset()
        """Operations that say yes and do nothing."""

    def call(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        if operation not in _MODEL.operation_names:
            raise RefusalError(f"{operation} is not an operation", "UnknownOperationException")
        shape = _MODEL.operation_model(operation)
        report = ParamValidator().validate(request, shape.input_shape)
        if report.has_errors():
            raise RefusalError(report.generate_report())
        self.calls.append((operation, request))
        if operation in self.refusals:
            raise self.refusals[operation]
        if operation in self.deaf:
            return {}
        with self.lock:
            answer: dict[str, Any] = getattr(self, operation)(**request)
        if shape.output_shape is not None:
            assert set(answer) <= set(shape.output_shape.members), (operation, answer)
            missing = set(shape.output_shape.required_members) - set(answer)
            assert not missing, (operation, missing)
        return answer

    def names(self) -> dict[str, list[str]]:
        """What is there, by kind, without empty kinds."""
        return {kind: sorted(things) for kind, things in self.things.items() if things}

    def made(self, operation: str) -> list[dict[str, Any]]:
        return [request for name, request in self.calls if name == operation]

    # Models and configurations

    def CreateModel(self, **request: Any) -> dict[str, Any]:
        image = request["PrimaryContainer"]["Image"]
        if "oci" in image:
            raise RefusalError(
                "Unsupported manifest media type application/vnd.oci.image.manifest.v1+json for image "
                + image
            )
        return self._put("Model", request)

    def CreateEndpointConfig(self, **request: Any) -> dict[str, Any]:
        for variant in request["ProductionVariants"]:
            self._get("Model", variant["ModelName"])
        return self._put("EndpointConfig", request)

    def DescribeModel(self, ModelName: str) -> dict[str, Any]:
        return self._get("Model", ModelName)

    def DescribeEndpointConfig(self, EndpointConfigName: str) -> dict[str, Any]:
        return self._get("EndpointConfig", EndpointConfigName)

    def DeleteModel(self, ModelName: str) -> dict[str, Any]:
        return self._drop("Model", ModelName)

    def DeleteEndpointConfig(self, EndpointConfigName: str) -> dict[str, Any]:
        return self._drop("EndpointConfig", EndpointConfigName)

    def ListModels(self, **request: Any) -> dict[str, Any]:
        return self._list("Model", request)

    def ListEndpointConfigs(self, **request: Any) -> dict[str, Any]:
        return self._list("EndpointConfig", request)

    # Endpoints

    def CreateEndpoint(self, **request: Any) -> dict[str, Any]:
        self._get("EndpointConfig", request["EndpointConfigName"])
        answer = self._put("Endpoint", request)
        endpoint = self.things["Endpoint"][request["EndpointName"]]
        endpoint |= {"EndpointStatus": "Creating", "LastModifiedTime": endpoint["CreationTime"]}
        self._later(request["EndpointName"], lambda: self._bring_up(request["EndpointName"], "Failed"))
        return answer

    def UpdateEndpoint(self, **request: Any) -> dict[str, Any]:
        endpoint = self._get("Endpoint", request["EndpointName"])
        self._get("EndpointConfig", request["EndpointConfigName"])
        if endpoint["EndpointStatus"] in _BUSY:
            raise RefusalError(f'Cannot update in-progress endpoint "{endpoint["EndpointArn"]}".')
        before = endpoint["EndpointConfigName"]
        stored = self.things["Endpoint"][request["EndpointName"]]
        stored |= {"EndpointStatus": "Updating"}
        stored.pop("FailureReason", None)
        if "DeploymentConfig" in request:
            stored["LastDeploymentConfig"] = request["DeploymentConfig"]

        def finish() -> None:
            stored["EndpointConfigName"] = request["EndpointConfigName"]
            self._bring_up(request["EndpointName"], "InService")
            if "FailureReason" in stored:
                stored["EndpointConfigName"] = before

        self._later(request["EndpointName"], finish)
        return {"EndpointArn": endpoint["EndpointArn"]}

    def DescribeEndpoint(self, EndpointName: str) -> dict[str, Any]:
        self._get("Endpoint", EndpointName)
        looks, step = self.pending.pop(EndpointName, (0, None))
        if step and looks <= 1:
            step()
        elif step:
            self.pending[EndpointName] = looks - 1, step
        return self._get("Endpoint", EndpointName)

    def DeleteEndpoint(self, EndpointName: str) -> dict[str, Any]:
        endpoint = self._get("Endpoint", EndpointName)
        if endpoint["EndpointStatus"] in _BUSY:
            raise RefusalError(f'Cannot update in-progress endpoint "{endpoint["EndpointArn"]}".')
        self.things["Endpoint"][EndpointName]["EndpointStatus"] = "Deleting"
        self.served.pop(EndpointName, None)
        self._later(EndpointName, lambda: self._forget(EndpointName))
        return {}

    def ListEndpoints(self, **request: Any) -> dict[str, Any]:
        return self._list("Endpoint", request)

    # Tags and the model registry

    def AddTags(self, ResourceArn: str, Tags: list[dict[str, str]]) -> dict[str, Any]:
        named = {tag["Key"]: tag for tag in [*self.tags[ResourceArn], *Tags]}
        self.tags[ResourceArn] = list(named.values())
        return {"Tags": self.tags[ResourceArn]}

    def ListTags(self, ResourceArn: str, **_: Any) -> dict[str, Any]:
        return {"Tags": self.tags.get(ResourceArn, [])}

    def CreateModelPackageGroup(self, **request: Any) -> dict[str, Any]:
        name = request["ModelPackageGroupName"]
        if name in self.packages:
            raise RefusalError(f"Model Package Group already exists: {name}")
        self.packages[name] = []
        return {"ModelPackageGroupArn": f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:model-package-group/{name}"}

    def CreateModelPackage(self, **request: Any) -> dict[str, Any]:
        group = request["ModelPackageGroupName"]
        number = len(self.packages[group]) + 1
        arn = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:model-package/{group}/{number}"
        created = datetime.now(UTC).timestamp()
        self.packages[group].append(
            {
                **request,
                "ModelPackageName": f"{group}/{number}",
                "ModelPackageArn": arn,
                "ModelPackageVersion": number,
                "CreationTime": created,
                "ModelPackageStatus": "Completed",
                "ModelPackageStatusDetails": {"ValidationStatuses": []},
            }
        )
        return {"ModelPackageArn": arn}

    def ListModelPackages(self, ModelPackageGroupName: str, **_: Any) -> dict[str, Any]:
        kept = (
            "ModelPackageArn",
            "ModelPackageVersion",
            "CreationTime",
            "ModelPackageStatus",
            "ModelApprovalStatus",
        )
        rows = [{key: item[key] for key in kept} for item in self.packages[ModelPackageGroupName]]
        return {"ModelPackageSummaryList": rows}

    def DescribeModelPackage(self, ModelPackageName: str) -> dict[str, Any]:
        for item in (item for items in self.packages.values() for item in items):
            if item["ModelPackageArn"] == ModelPackageName:
                members = _MODEL.operation_model("DescribeModelPackage").output_shape.members
                return {key: value for key, value in item.items() if key in members}
        raise RefusalError(f"ModelPackage {ModelPackageName} does not exist.")

    # The runtime

    def invoke(
        self, endpoint: str, body: bytes, headers: dict[str, str]
    ) -> tuple[int, bytes, dict[str, str]]:
        found = self.things["Endpoint"].get(endpoint)
        if found is None or found["EndpointStatus"] not in {"InService", "Updating"}:
            message = f"Endpoint {endpoint} of account {ACCOUNT} not found."
            return 400, json.dumps({"Message": message}).encode(), {"x-amzn-ErrorType": "ValidationError"}
        models = self.served[endpoint]
        target = headers.get("x-amzn-sagemaker-target-model")
        model = models[target] if target else next(iter(models.values()))
        given = answer_of(
            body,
            content_type=headers.get("content-type", ""),
            accept=headers.get("accept", ""),
            attributes=headers.get("x-amzn-sagemaker-custom-attributes", ""),
            model=model,
        )
        return self._answered(given)

    def _answered(self, given: Invocation) -> tuple[int, bytes, dict[str, str]]:
        if given.status >= 400:
            said = given.body.decode()
            document = {
                "Message": f"Received client error ({given.status})",
                "OriginalStatusCode": given.status,
            }
            document["OriginalMessage"] = said
            return 424, json.dumps(document).encode(), {"x-amzn-ErrorType": "ModelError"}
        body = self.wrong_answer if self.wrong_answer is not None else given.body
        return (
            200,
            body,
            {"Content-Type": given.content_type, "x-Amzn-Invoked-Production-Variant": "AllTraffic"},
        )

    # How things are kept

    def _arn(self, kind: str, name: str) -> str:
        return f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:{_KINDS[kind]}/{name.lower()}"

    def _put(self, kind: str, request: dict[str, Any]) -> dict[str, Any]:
        name, arn = request[f"{kind}Name"], self._arn(kind, request[f"{kind}Name"])
        if any(other.lower() == name.lower() for other in self.things[kind]):
            raise RefusalError(f'Cannot create already existing {_KINDS[kind].replace("-", " ")} "{arn}".')
        kept = {key: value for key, value in request.items() if key not in {"Tags", "DeploymentConfig"}}
        self.things[kind][name] = {**kept, f"{kind}Arn": arn, "CreationTime": datetime.now(UTC).timestamp()}
        self.tags[arn] = list(request.get("Tags", []))
        return {f"{kind}Arn": arn}

    def _get(self, kind: str, name: str) -> dict[str, Any]:
        if name not in self.things[kind]:
            raise RefusalError(f'Could not find {_KINDS[kind].replace("-", " ")} "{self._arn(kind, name)}".')
        return dict(self.things[kind][name])

    def _drop(self, kind: str, name: str) -> dict[str, Any]:
        self._get(kind, name)
        if kind == "EndpointConfig" and any(
            item["EndpointConfigName"] == name for item in self.things["Endpoint"].values()
        ):
            raise RefusalError(f"Cannot delete {name}: an endpoint uses it")
        del self.things[kind][name]
        return {}

    def _list(self, kind: str, request: dict[str, Any]) -> dict[str, Any]:
        """Two a page, so that whoever forgets the second page is found out."""
        shown = {
            "Model": ("ModelName", "ModelArn", "CreationTime"),
            "EndpointConfig": ("EndpointConfigName", "EndpointConfigArn", "CreationTime"),
            "Endpoint": ("EndpointName", "EndpointArn", "CreationTime", "LastModifiedTime", "EndpointStatus"),
        }[kind]
        names = [name for name in sorted(self.things[kind]) if request.get("NameContains", "") in name]
        first = int(request.get("NextToken", 0))
        rows = [{key: self.things[kind][name][key] for key in shown} for name in names[first : first + 2]]
        more = {"NextToken": str(first + 2)} if first + 2 < len(names) else {}
        return {f"{kind}s": rows, **more}

    def _later(self, endpoint: str, step: Callable[[], None]) -> None:
        self.pending[endpoint] = LOOKS, step

    def _forget(self, name: str) -> None:
        del self.things["Endpoint"][name]

    def _bring_up(self, name: str, failed: str) -> None:
        endpoint = self.things["Endpoint"][name]
        config = self.things["EndpointConfig"][endpoint["EndpointConfigName"]]
        variant = config["ProductionVariants"][0]
        container = self.things["Model"][variant["ModelName"]]["PrimaryContainer"]
        try:
            models = self._fetch(container)
        except (ServiceError, OSError) as exc:
            endpoint |= {"EndpointStatus": failed, "FailureReason": str(exc)}
            return
        self.served[name] = models
        count = variant.get("InitialInstanceCount", 1)
        running = {
            "VariantName": variant["VariantName"],
            "CurrentInstanceCount": count,
            "DesiredInstanceCount": count,
        }
        endpoint |= {"EndpointStatus": "InService", "ProductionVariants": [running]}
        if "AsyncInferenceConfig" in config:
            endpoint["AsyncInferenceConfig"] = config["AsyncInferenceConfig"]

    def _fetch(self, container: dict[str, Any]) -> dict[str, ServedModel]:
        if "broken" in container["Image"]:
            raise OSError(self.failure)
        url = urlsplit(container["ModelDataUrl"])
        if url.scheme == "file":
            return {"": _served(Path(unquote(url.path)))}
        s3, key = boto3.client("s3"), url.path.lstrip("/")
        keys = [key]
        if container.get("Mode") == "MultiModel":
            listed = s3.list_objects_v2(Bucket=url.netloc, Prefix=key)
            keys = [item["Key"] for item in listed["Contents"] if item["Key"].endswith("model.tar.gz")]
        models = {}
        with tempfile.TemporaryDirectory() as folder:
            for one in keys:
                path = Path(folder) / "model.tar.gz"
                s3.download_file(url.netloc, one, str(path))
                models[one.removeprefix(key)] = _served(path)
        return models


def _served(path: Path) -> ServedModel:
    artifact = read_artifact(path)
    return ServedModel(artifact.model, artifact.manifest.model_version)


@contextmanager
def running() -> Iterator[tuple[SageMaker, str]]:
    """Run it on a free port; yields it and its URL."""
    sagemaker = SageMaker()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            target = self.headers.get("X-Amz-Target", "")
            if target.startswith("SageMaker."):
                self._reply(*_control(sagemaker, target.partition(".")[2], body))
                return
            _, _, name, *rest = urlsplit(self.path).path.split("/")
            headers = {key.lower(): value for key, value in self.headers.items()}
            if rest == ["async-invocations"]:
                self._reply(*_asynchronous(sagemaker, name, headers))
                return
            assert rest == ["invocations"], self.path
            self._reply(*sagemaker.invoke(name, body, headers))

        def _reply(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for key, value in headers.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Stay quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield sagemaker, f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _control(sagemaker: SageMaker, operation: str, body: bytes) -> tuple[int, bytes, dict[str, str]]:
    kind = {"Content-Type": "application/x-amz-json-1.1"}
    try:
        return 200, json.dumps(sagemaker.call(operation, json.loads(body))).encode(), kind
    except RefusalError as exc:
        document = {"__type": exc.code, "message": str(exc)}
        return 400, json.dumps(document).encode(), {**kind, "x-amzn-ErrorType": exc.code}


def _asynchronous(
    sagemaker: SageMaker, endpoint: str, headers: dict[str, str]
) -> tuple[int, bytes, dict[str, str]]:
    """Answer into S3, where a client looks for it."""
    config = sagemaker.things["Endpoint"][endpoint]["AsyncInferenceConfig"]["OutputConfig"]
    source = urlsplit(headers["x-amzn-sagemaker-inputlocation"])
    s3 = boto3.client("s3")
    payload = s3.get_object(Bucket=source.netloc, Key=source.path.lstrip("/"))["Body"].read()
    status, answer, _ = sagemaker.invoke(endpoint, payload, headers)
    name = source.path.rsplit("/", 1)[-1]
    output, failure = f"{config['S3OutputPath']}/{name}.out", f"{config['S3FailurePath']}/{name}-error.out"
    written = urlsplit(output if status == 200 else failure)
    s3.put_object(Bucket=written.netloc, Key=written.path.lstrip("/"), Body=answer)
    locations = {"X-Amzn-SageMaker-OutputLocation": output, "X-Amzn-SageMaker-FailureLocation": failure}
    return 202, json.dumps({"InferenceId": name}).encode(), {"Content-Type": "application/json", **locations}
