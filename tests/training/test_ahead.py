"""Encodings that are looked for ahead are those that are found, and so are the mistakes."""

import os
from pathlib import Path

import pytest

from service.errors import DatasetError
from service.training import ahead
from service.training.ahead import EncodingsAhead
from service.training.dataset import Means, read_dataset
from service.training.dialect import find_encoding

ROWS = "".join(f"{20 + number % 50},{1_000 + number},{1 + number % 9}\n" for number in range(500))


def write(path: Path, text: str, *, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


def test_the_encodings_are_those_that_are_found(tmp_path: Path) -> None:
    paths = [
        write(tmp_path / "plain.csv", f"Age,Income,Purchases\n{ROWS}"),
        write(tmp_path / "quoted.csv", f'Age,Income,"Purchases"\n{ROWS}'),
        write(tmp_path / "old.csv", f"Age,Income,Purchases,Prénom\n{ROWS}", encoding="cp1252"),
        write(tmp_path / "wide.csv", f"Age,Income,Purchases\n{ROWS}", encoding="utf-16"),
    ]
    looking = EncodingsAhead(paths)

    found = [looking.find(path) for path in paths]

    assert found == [find_encoding(path) for path in paths]
    assert [encoding for encoding, _ in found] == ["utf-8", "utf-8", "cp1252", "utf-16"]
    assert found[1][1] == 2


def test_each_file_is_decoded_once(tmp_path: Path) -> None:
    path = write(tmp_path / "plain.csv", f"Age,Income,Purchases\n{ROWS}")
    looking = EncodingsAhead([path])
    first = looking.find(path)
    write(path, f'Age,Income,Purchases\n{ROWS}"é"\n', encoding="cp1252")

    assert looking.find(path) == first == ("utf-8", 0)
    assert EncodingsAhead([]).find(path) == ("cp1252", 2)


def test_what_is_no_text_is_said_by_whoever_reads_it(tmp_path: Path) -> None:
    zeros = tmp_path / "zeros.csv"
    zeros.write_bytes(b"Age,Income\0\n")
    paths = [tmp_path / "nowhere.csv", tmp_path, write(tmp_path / "book.csv", "PK\3\4"), zeros]
    means = Means(find_encoding=EncodingsAhead(paths).find)

    for path, problem in zip(
        paths, ("No such file", "is a folder", "zip archive", "not a text"), strict=True
    ):
        with pytest.raises(DatasetError, match=problem):
            read_dataset([path], mapping={}, rejects_path=tmp_path / "rejects.csv", means=means)


def test_nobody_waits_for_a_thread_that_gave_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def give_up(_path: Path) -> tuple[str, int]:
        raise MemoryError

    paths = [write(tmp_path / name, f"Age,Income,Purchases\n{ROWS}") for name in ("a.csv", "b.csv")]
    monkeypatch.setattr(ahead, "find_encoding", give_up)
    found = EncodingsAhead(paths)

    for path in paths:
        with pytest.raises(MemoryError):
            found.find(path)


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.csv"
    os.mkfifo(pipe)
    means = Means(find_encoding=EncodingsAhead([pipe]).find)

    with pytest.raises(DatasetError, match="is not a regular file"):
        read_dataset([pipe], mapping={}, rejects_path=tmp_path / "rejects.csv", means=means)
