"""The control plane speaks the real API: shapes, pages, errors, tags; what it lacks it names."""

import urllib.error
import urllib.request
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.session import Session

from service.local.control_plane import ControlPlane
from service.local.operations import BY_NAME, CONTROL, RUNTIME, Operation
from service.local.processes import ProcessRuntime
from service.local.state import State
from tests.local.conftest import ROLE, LocalSageMaker, create_configuration, error_of


def post(url: str, body: bytes, **headers: str) -> tuple[int, bytes]:
    request = urllib.request.Request(url, body, headers)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def create_models(sagemaker: Any, prefix: str, count: int) -> list[str]:
    names = [f"{prefix}-{number}" for number in range(count)]
    for name in names:
        sagemaker.create_model(ModelName=name, ExecutionRoleArn=ROLE, PrimaryContainer={"Image": "x"})
    return names


@pytest.mark.parametrize("operation", [*CONTROL, *RUNTIME], ids=lambda operation: operation.name)
def test_the_table_names_operations_and_members_that_aws_has(operation: Operation) -> None:
    service = "sagemaker" if operation in CONTROL else "sagemaker-runtime"
    shape = Session().get_service_model(service).operation_model(operation.name).input_shape

    assert {*operation.honoured, *operation.recorded} <= set(shape.members)
    assert set(shape.required_members) <= {*operation.honoured, *operation.recorded}


def test_every_operation_of_the_table_is_answered(tmp_path: Any) -> None:
    plane = ControlPlane(State(tmp_path), ProcessRuntime(), region="us-east-1")

    assert set(plane.handlers()) == set(BY_NAME)


def test_an_operation_that_is_not_emulated_is_refused_by_its_name(sagemaker: Any) -> None:
    error = error_of(sagemaker.list_processing_jobs, sagemaker)

    assert error["Code"] == "UnknownOperationException"
    assert error["Message"].startswith("ListProcessingJobs is an operation of Amazon SageMaker that segserve")


def test_lists_come_in_pages_sorted_and_filtered(sagemaker: Any, name: str) -> None:
    names = create_models(sagemaker, name, 5)
    an_hour_ago = sagemaker.describe_model(ModelName=names[2])["CreationTime"] - timedelta(hours=1)

    def listed(**filters: Any) -> list[list[str]]:
        pages = sagemaker.get_paginator("list_models").paginate(
            NameContains=name, PaginationConfig={"PageSize": 2}, **filters
        )
        return [[model["ModelName"] for model in page["Models"]] for page in pages]

    assert listed() == [[names[4], names[3]], [names[2], names[1]], [names[0]]]
    assert listed(SortBy="Name", SortOrder="Ascending") == [names[0:2], names[2:4], names[4:]]
    assert listed(CreationTimeAfter=an_hour_ago) == listed()
    assert listed(CreationTimeBefore=an_hour_ago) == [[]]
    assert len(sagemaker.list_models()["Models"]) <= 10
    wrong = error_of(lambda: sagemaker.list_models(NextToken="nonsense"), sagemaker)
    assert wrong["Code"] == "ValidationException"


def test_pages_go_on_where_they_ended_though_something_was_created(sagemaker: Any, name: str) -> None:
    names = create_models(sagemaker, name, 3)
    first = sagemaker.list_models(NameContains=name, MaxResults=2)
    create_models(sagemaker, f"{name}-late", 1)
    second = sagemaker.list_models(NameContains=name, MaxResults=2, NextToken=first["NextToken"])

    assert [model["ModelName"] for model in first["Models"]] == [names[2], names[1]]
    assert [model["ModelName"] for model in second["Models"]] == [names[0]]
    assert "NextToken" not in second


def test_descriptions_show_what_was_asked_for(sagemaker: Any, name: str, model_url: str) -> None:
    container = {"Image": "image:1", "ModelDataUrl": model_url, "Environment": {"SERVICE_WORKERS": "2"}}
    sagemaker.create_model(
        ModelName=name, ExecutionRoleArn=ROLE, PrimaryContainer=container, EnableNetworkIsolation=True
    )
    model = sagemaker.describe_model(ModelName=name)
    capture = {
        "EnableCapture": True,
        "InitialSamplingPercentage": 10,
        "DestinationS3Uri": "s3://bucket/capture",
        "CaptureOptions": [{"CaptureMode": "Input"}],
    }
    variant = {
        "VariantName": "A",
        "ModelName": name,
        "ServerlessConfig": {"MemorySizeInMB": 1024, "MaxConcurrency": 5},
    }
    sagemaker.create_endpoint_config(
        EndpointConfigName=name, ProductionVariants=[variant], DataCaptureConfig=capture
    )
    configuration = sagemaker.describe_endpoint_config(EndpointConfigName=name)

    assert model["PrimaryContainer"] == container
    assert (model["ExecutionRoleArn"], model["EnableNetworkIsolation"]) == (ROLE, True)
    assert model["ModelArn"] == f"arn:aws:sagemaker:us-east-1:123456789012:model/{name}"
    assert configuration["ProductionVariants"] == [variant]
    assert configuration["DataCaptureConfig"] == capture


def test_names_are_taken_whatever_their_case_and_belong_to_a_region(
    local: LocalSageMaker, sagemaker: Any, name: str
) -> None:
    create_models(sagemaker, name, 1)
    error = error_of(lambda: create_models(sagemaker, name.upper(), 1), sagemaker)
    elsewhere = local.client("sagemaker", region="eu-west-1")
    create_models(elsewhere, name, 1)
    described = elsewhere.describe_model(ModelName=f"{name}-0")
    elsewhere.delete_model(ModelName=f"{name}-0")
    elsewhere.close()

    assert error["Message"] == (
        f'Cannot create already existing model "arn:aws:sagemaker:us-east-1:123456789012:model/{name}-0".'
    )
    assert ":eu-west-1:" in described["ModelArn"]
    assert sagemaker.describe_model(ModelName=f"{name}-0")["ModelName"] == f"{name}-0"


@pytest.mark.parametrize(
    ("operation", "arguments", "message"),
    [
        (
            "describe_endpoint",
            {"EndpointName": "none"},
            'Could not find endpoint "arn:aws:sagemaker:us-east-1:',
        ),
        ("delete_model", {"ModelName": "none"}, "Could not find model"),
        ("create_endpoint", {"EndpointName": "a", "EndpointConfigName": "none"}, "endpoint configuration"),
        ("describe_model", {"ModelName": "../../x"}, "satisfy regular expression pattern"),
        ("describe_model", {"ModelName": "x" * 64}, "have length less than or equal to 63"),
        ("list_models", {"SortBy": "Size"}, "satisfy enum value set: [Name, CreationTime]"),
        (
            "list_tags",
            {"ResourceArn": "arn:aws:sagemaker:us-east-1:123456789012:model/none"},
            "Could not find",
        ),
        (
            "create_model",
            {"ModelName": "x", "PrimaryContainer": {"Image": "i", "ModelDataUrl": "s3://bucket/no.tar.gz"}},
            "Could not find model data at s3://bucket/no.tar.gz.",
        ),
        (
            "create_model",
            {"ModelName": "x", "PrimaryContainer": {"Image": "i", "ModelDataUrl": "s3://bucket/model.zip"}},
            "Invalid model data URL s3://bucket/model.zip",
        ),
        (
            "create_model",
            {"ModelName": "x", "PrimaryContainer": {"Image": "i", "Mode": "MultiModel"}},
            "Mode MultiModel of CreateModel is not emulated",
        ),
        ("create_model", {"ModelName": "x"}, "needs a PrimaryContainer"),
        (
            "create_model",
            {"ModelName": "x", "Containers": [{"Image": "a"}, {"Image": "b"}]},
            "inference pipeline",
        ),
    ],
)
def test_wrong_requests_are_refused_as_on_aws(
    sagemaker: Any, s3: Any, operation: str, arguments: dict[str, Any], message: str
) -> None:
    assert s3 is not None
    error = error_of(lambda: getattr(sagemaker, operation)(**arguments), sagemaker)

    assert error["Code"] == "ValidationException"
    assert error["Status"] == 400
    assert message in error["Message"]


def test_a_configuration_names_models_and_instances_that_there_are(sagemaker: Any, name: str) -> None:
    (model,) = create_models(sagemaker, name, 1)

    def refused(**variant: Any) -> str:
        variants = [{"VariantName": "A", "ModelName": model, **variant}]
        call = {"EndpointConfigName": name, "ProductionVariants": variants}
        return str(error_of(lambda: sagemaker.create_endpoint_config(**call), sagemaker)["Message"])

    assert "Could not find model" in refused(ModelName="none", InstanceType="ml.m5.xlarge")
    assert "needs an InstanceType or a ServerlessConfig" in refused()
    assert "satisfy enum value set" in refused(InstanceType="m5.xlarge")


def test_tags_are_added_changed_listed_and_taken_away(sagemaker: Any, name: str) -> None:
    create_models(sagemaker, name, 1)
    arn = sagemaker.describe_model(ModelName=f"{name}-0")["ModelArn"]
    sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": str(number), "Value": "x"} for number in range(5)])
    sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "0", "Value": "y"}])
    sagemaker.delete_tags(ResourceArn=arn, TagKeys=["4", "unknown"])
    tags = list(sagemaker.get_paginator("list_tags").paginate(ResourceArn=arn).search("Tags"))
    too_many = [{"Key": f"more{number}", "Value": "x"} for number in range(47)]

    assert {tag["Key"]: tag["Value"] for tag in tags} == {"0": "y", "1": "x", "2": "x", "3": "x"}
    assert (
        "at most 50 tags"
        in error_of(lambda: sagemaker.add_tags(ResourceArn=arn, Tags=too_many), sagemaker)["Message"]
    )


def test_requests_that_no_client_makes_are_refused_in_one_sentence(local: LocalSageMaker) -> None:
    target = {"X-Amz-Target": "SageMaker.ListModels"}

    for body, headers, message in (
        (b"{", target, b"the request is not JSON"),
        (b"[]", target, b"the request is not a JSON object"),
        (b'{"Nonsense": 1}', target, b'Unknown parameter in input: \\"Nonsense\\"'),
        (b'{"MaxResults": "x"}', target, b"Invalid type for parameter MaxResults"),
        (b"{}", {"X-Amz-Target": "SageMaker.Nonsense"}, b"SageMaker has no operation 'Nonsense'"),
        (b"{}", {}, b"X-Amz-Target must be like SageMaker.ListModels"),
    ):
        status, content = post(f"{local.url}/", body, **headers)

        assert status == 400
        assert message in content, content
    assert post(f"{local.url}/nowhere", b"")[0] == 404


def test_a_page_of_another_name_that_leads_here_is_refused(local: LocalSageMaker) -> None:
    status, _ = post(f"{local.url}/", b"{}", Host="evil.example", **{"X-Amz-Target": "SageMaker.ListModels"})

    assert status == 400


def test_what_has_no_effect_here_is_refused_rather_than_forgotten(sagemaker: Any, name: str) -> None:
    (model,) = create_models(sagemaker, name, 1)
    variant = {
        "VariantName": "A",
        "ModelName": model,
        "InstanceType": "ml.m5.xlarge",
        "InitialInstanceCount": 1,
    }
    with pytest.raises(ClientError, match="ShadowProductionVariants of CreateEndpointConfig is not emulated"):
        sagemaker.create_endpoint_config(
            EndpointConfigName=name,
            ProductionVariants=[variant],
            ShadowProductionVariants=[{**variant, "VariantName": "B"}],
        )


def test_asynchronous_invocations_answer_in_s3(
    sagemaker: Any, runtime: Any, s3: Any, name: str, model_url: str
) -> None:
    from tests.conftest import wait_until
    from tests.local.conftest import BODY, delete_endpoint, settle

    create_configuration(sagemaker, f"{name}-sync", model_url)
    variant = {"VariantName": "A", "ModelName": f"{name}-sync", "InstanceType": "ml.m5.xlarge"}
    sagemaker.create_endpoint_config(
        EndpointConfigName=name,
        ProductionVariants=[{**variant, "InitialInstanceCount": 1}],
        AsyncInferenceConfig={"OutputConfig": {"S3OutputPath": f"s3://bucket/{name}/out"}},
    )
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    settle(sagemaker, name)
    s3.put_object(Bucket="bucket", Key=f"{name}/good", Body=BODY)
    s3.put_object(Bucket="bucket", Key=f"{name}/bad", Body=b"[[1, -1]]")
    outcomes = {}
    for which in ("good", "bad"):
        answer = runtime.invoke_endpoint_async(
            EndpointName=name, InputLocation=f"s3://bucket/{name}/{which}", ContentType="application/json"
        )
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 202
        outcomes[which] = answer["OutputLocation" if which == "good" else "FailureLocation"]

    def written(url: str) -> bool:
        key = url.removeprefix("s3://bucket/")
        return bool(s3.list_objects_v2(Bucket="bucket", Prefix=key)["KeyCount"])

    wait_until(lambda: all(written(url) for url in outcomes.values()), what="the answers")
    good, bad = (
        s3.get_object(Bucket="bucket", Key=url.removeprefix("s3://bucket/"))["Body"].read()
        for url in outcomes.values()
    )
    delete_endpoint(sagemaker, name)

    assert good == b"[2, 1]"
    assert b"Received client error (400)" in bad
