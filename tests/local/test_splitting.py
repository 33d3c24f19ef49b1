"""Objects are split at lines and answers put together in order."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.local.faults import StorageError
from service.local.splitting import assemble, split


@pytest.mark.parametrize(
    ("options", "payloads"),
    [
        ({"by_line": False, "is_multi_record": True, "max_bytes": 0}, [b"1\n22\n\n333"]),
        ({"by_line": True, "is_multi_record": False, "max_bytes": 0}, [b"1\n", b"22\n", b"333"]),
        ({"by_line": True, "is_multi_record": True, "max_bytes": 0}, [b"1\n22\n333"]),
        ({"by_line": True, "is_multi_record": True, "max_bytes": 5}, [b"1\n22\n", b"333"]),
    ],
)
def test_split(options: dict[str, bool], payloads: list[bytes]) -> None:
    assert list(split(b"1\n22\n\n333", **options)) == payloads


@pytest.mark.parametrize(("by_line", "what"), [(True, "record 1"), (False, "the object")])
def test_what_does_not_fit_is_refused(*, by_line: bool, what: str) -> None:
    with pytest.raises(StorageError, match=f"{what} has .* bytes, more than MaxPayloadInMB allows"):
        list(split(b"1\n22222\n", by_line=by_line, is_multi_record=True, max_bytes=4))


@given(
    st.lists(st.binary(min_size=1, max_size=9).map(lambda line: line.hex().encode() + b"\n")),
    st.integers(20, 60),
)
def test_nothing_is_lost_and_no_payload_is_too_large(lines: list[bytes], max_bytes: int) -> None:
    payloads = list(split(b"".join(lines), by_line=True, is_multi_record=True, max_bytes=max_bytes))

    assert b"".join(payloads) == b"".join(lines)
    assert all(len(payload) <= max_bytes for payload in payloads)


def test_assemble_sees_to_newlines() -> None:
    assert assemble([b"1\n2\n", b"3"], by_line=True) == b"1\n2\n3\n"
    assert assemble([b"1", b"2"], by_line=False) == b"12"
