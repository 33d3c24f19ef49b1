"""Every setting is read from its variables, SageMaker's first, and a bad value is named."""

from pathlib import Path

import pytest

from service.errors import ConfigurationError
from service.logs import LogFormat
from service.settings import LogLevel, OnError, Switch, defaults, read_settings, variables


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for names in variables().values():
        for name in names:
            monkeypatch.delenv(name, raising=False)


def test_an_empty_environment_gives_the_defaults_of_the_contract() -> None:
    settings = read_settings()

    assert (settings.host, settings.port, settings.workers) == (None, 8080, 1)
    assert settings.model_dir == Path("/opt/ml/model")
    assert settings.max_payload_bytes == 25 * 2**20
    assert settings.invocation_timeout_s == 55
    assert settings.graceful_timeout_s == 25


ACCEPTED = [
    ("SAGEMAKER_BIND_TO_PORT", "9090", "port", 9090),
    ("SERVICE_PORT", "9091", "port", 9091),
    ("SAGEMAKER_MODEL_SERVER_WORKERS", "3", "workers", 3),
    ("SERVICE_PREFIX", "/data/ml", "prefix", Path("/data/ml")),
    ("SAGEMAKER_MAX_PAYLOAD_IN_MB", "100", "max_payload_mb", 100),
    ("SAGEMAKER_MODEL_SERVER_TIMEOUT", "30", "timeout_s", 30),
    ("SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT", "text/csv", "default_accept", "text/csv"),
    ("SERVICE_ON_ERROR", "Placeholder", "on_error", OnError.PLACEHOLDER),
    ("SERVICE_CONSOLE", "OFF", "console", Switch.OFF),
    ("SERVICE_ACCESS_LOG", "off", "access_log", Switch.OFF),
    ("SAGEMAKER_CONTAINER_LOG_LEVEL", "20", "log_level", LogLevel.INFO),
    ("SERVICE_LOG_LEVEL", "DEBUG", "log_level", LogLevel.DEBUG),
    ("SERVICE_LOG_FORMAT", "JSON", "log_format", LogFormat.JSON),
    ("SERVICE_EMF_NAMESPACE", "Team/Segments", "emf_namespace", "Team/Segments"),
    ("SAGEMAKER_BATCH", "True", "batch", True),
    ("SAGEMAKER_BATCH", "true", "batch", True),
    ("SAGEMAKER_BATCH_STRATEGY", "SINGLE_RECORD", "batch_strategy", "SINGLE_RECORD"),
    ("SAGEMAKER_MAX_CONCURRENT_TRANSFORMS", "8", "max_concurrent_transforms", 8),
    ("SERVICE_PORT", "", "port", 8080),
]


@pytest.mark.parametrize(("variable", "value", "field", "expected"), ACCEPTED, ids=range(len(ACCEPTED)))
def test_a_variable_sets_its_field(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, field: str, expected: object
) -> None:
    monkeypatch.setenv(variable, value)

    assert getattr(read_settings(), field) == expected


def test_sagemakers_variable_wins_over_ours_and_an_option_over_both(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVICE_PORT", "9001")
    monkeypatch.setenv("SAGEMAKER_BIND_TO_PORT", "9002")

    assert read_settings().port == 9002
    assert read_settings(port=9003).port == 9003
    assert read_settings(port=None).port == 9002


def test_no_payload_limit_and_no_timeout_in_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAGEMAKER_BATCH", "true")
    monkeypatch.setenv("SAGEMAKER_MAX_PAYLOAD_IN_MB", "0")

    assert read_settings().max_payload_bytes is None
    assert read_settings().invocation_timeout_s is None


@pytest.mark.parametrize(
    ("variable", "value", "accepted"),
    [
        ("SAGEMAKER_BIND_TO_PORT", "eighty", "integer"),
        ("SERVICE_PORT", "70000", "an integer from 0 to 65535"),
        ("SERVICE_WORKERS", "0", "an integer from 1 to 64"),
        ("SERVICE_ON_ERROR", "ignore", "'reject' or 'placeholder'"),
        ("SERVICE_CONSOLE", "maybe", "'on' or 'off'"),
        ("SERVICE_LOG_LEVEL", "loud", "'debug', 'info', 'warning' or 'error'"),
        ("SERVICE_LOG_FORMAT", "xml", "'text', 'json' or 'auto'"),
        ("SERVICE_EMF_NAMESPACE", "a b", "pattern"),
        ("SAGEMAKER_BATCH", "perhaps", "boolean"),
    ],
)
def test_a_bad_value_is_named_with_its_variable_and_what_is_accepted(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, accepted: str
) -> None:
    monkeypatch.setenv(variable, value)

    with pytest.raises(ConfigurationError) as caught:
        read_settings()
    assert variable in str(caught.value)
    assert repr(value) in str(caught.value)
    assert accepted in str(caught.value)


def test_a_bad_option_is_named_as_the_option() -> None:
    with pytest.raises(ConfigurationError, match=r"--port '99999' is not accepted: it should be an int"):
        read_settings(port=99999)


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(AttributeError, match="cannot assign"):
        read_settings().port = 1  # type: ignore[misc]


def test_every_field_is_documented() -> None:
    source = Path(__file__).parents[1].joinpath("service/settings.py").read_text()
    for field in defaults():
        after = source.split(f"    {field}: ", 1)[1]

        assert after.split('    """', 1)[1].strip(), field
