"""Whatever stands in hyperparameters.json: it is read, or refused in a sentence."""

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from service.errors import ConfigurationError
from service.training.hyperparameters import read_hyperparameters

NAMES = ("k", "n_clusters", "transform", "seed", "map", "id_column", "decimal", "channel", "previous")
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["auto", "4", "log1p", "Income=income_usd", '"5"', "[1]", "{}", "2**9**9", "x=" * 50]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
DOCUMENTS = st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=10), VALUES, max_size=5).map(
    lambda document: json.dumps(document).encode()
)


@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=DOCUMENTS | st.binary(max_size=60))
@example(content=b'{"k": "' + b"9" * 5000 + b'"}')
@example(content=b'{"seed": ' + b"9" * 5000 + b"}")
@example(content=b'{"map": "' + b"[" * 100_000 + b'"}')
@example(content=b'{"map": ' + b"[" * 100_000 + b"}")
@example(content=b'{"map": "Age=' + b"(" * 5000 + b'"}')
@example(content=b'{"map": "Age=' + b"-" * 50_000 + b'1"}')
@example(content=b'{"\\ud800": 1}')
def test_any_document_is_read_or_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "hyperparameters.json"
    path.write_bytes(content)
    problem = ""
    try:
        k = read_hyperparameters(path).fit.k
    except ConfigurationError as exc:
        k, problem = None, str(exc)

    assert "\n" not in problem
    assert len(problem) < 600
    assert k is None or 1 <= k <= 1000


def test_what_is_accepted_is_read(tmp_path: Path) -> None:
    path = tmp_path / "hyperparameters.json"
    path.write_text('{"k": "4", "seed": 7, "transform": "log1p"}')

    assert read_hyperparameters(path).fit.k == 4


@pytest.mark.parametrize("content", [b"[]", b"4", b"nonsense"])
def test_what_is_no_object_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "hyperparameters.json"
    path.write_bytes(content)

    with pytest.raises(ConfigurationError, match=r"hyperparameters\.json"):
        read_hyperparameters(path)
