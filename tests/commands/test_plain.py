"""How `serve` and `train` read their options without the command line's library."""

import inspect
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from service import cli, exits
from service.commands import serve, train, training_run
from service.commands.plain import SERVE, find_command
from service.transform import Transform
from tests.conftest import clean_environment

SPARK = {"engine", "spark_conf"}
"""Left to the command line."""


def test_every_option_of_serve_is_read() -> None:
    """A new option is to be read here too, or starts a server that takes the longer way."""
    names = inspect.signature(serve.serve).parameters
    arguments = [word for name in names for word in (f"--{name}", "7")]

    assert SERVE.read(arguments) == dict.fromkeys(names, "7")
    assert SERVE.read([f"--{name}=7" for name in names]) == dict.fromkeys(names, "7")
    assert SERVE.read([]) == {}


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["-h"],
        ["--port"],
        ["--port", "x"],
        ["--port=٣"],
        ["--workers", "-1"],
        ["--store", "--port"],
        ["--port", "1", "--port", "2"],
        ["--stor", "a"],
        ["port", "1"],
        ["--loud", "1"],
        ["models"],
    ],
)
def test_what_is_not_plain_is_left_to_the_command_line(arguments: list[str]) -> None:
    assert SERVE.read(arguments) is None
    assert find_command(["serve", *arguments]) is None


@pytest.mark.parametrize("words", [[], ["models", "list"], ["-h"], ["serving"], ["--version"], [""]])
def test_other_commands_are_left_to_the_command_line(words: list[str]) -> None:
    assert find_command(words) is None


WHOLE = [
    "a.csv",
    "--k",
    "5",
    "--transform",
    "log1p",
    "b.csv",
    "--seed=7",
    "--store",
    "some/where",
    "--map",
    "Age=years",
    "--map=Income=a+b",
    "--id-column",
    "id",
    "--decimal",
    ",",
    "--previous",
    "none",
    "--sign-key",
    "keys/one",
    "--json",
]


@pytest.mark.parametrize(
    "arguments",
    [[], ["a.csv"], ["a b.csv", "--k=auto"], ["--json", "a.csv"], ["--store="], WHOLE],
    ids=range(6),
)
def test_train_is_called_as_the_command_line_calls_it(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[Mapping[str, Any]] = []
    defaults = {
        name: parameter.default
        for name, parameter in inspect.signature(training_run.train_version).parameters.items()
    }

    def record(files: object = (), **options: object) -> None:
        found = {**defaults, "files": files, **options}
        lists = {name: list(found[name]) for name in ("files", "column_map")}
        calls.append({name: (value, type(value)) for name, value in {**found, **lists}.items()})

    monkeypatch.setattr(training_run, "train_version", record)
    monkeypatch.setattr(train, "train_version", record)
    command = find_command(["train", *arguments])
    assert command is not None
    command()
    assert cli.run(["train", *arguments]) == 0

    assert calls[0] == calls[1]


def test_every_option_of_train_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, object] = {}
    monkeypatch.setattr(
        training_run, "train_version", lambda files, **options: given.update(files=files, **options)
    )
    command = find_command(["train", *WHOLE])
    assert command is not None
    command()

    assert set(given) == set(inspect.signature(train.train).parameters) - SPARK
    assert given["transform"] is Transform.LOG1P


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["a.csv", "-h"],
        ["-"],
        ["--", "a.csv"],
        ["a.csv", "--k"],
        ["a.csv", "--k", "4", "--k", "5"],
        ["a.csv", "--k", "-4"],
        ["a.csv", "--seed", "x"],
        ["a.csv", "--seed", str(2**32)],
        ["a.csv", "--transform", "log"],
        ["a.csv", "--json=1"],
        ["a.csv", "--engine", "spark"],
        ["a.csv", "--spark-conf", "a=b"],
        ["a.csv", "--column-map", "a=b"],
        ["a.csv", "--sto", "a"],
    ],
)
def test_what_is_not_plain_of_train_is_left_to_the_command_line(arguments: list[str]) -> None:
    assert find_command(["train", *arguments]) is None


@pytest.mark.parametrize(
    ("end", "code"),
    [(KeyboardInterrupt, 130), (BrokenPipeError, 1), (SystemExit, 1)],
)
def test_who_is_broken_off_says_nothing(
    end: type[BaseException], code: int, capfd: pytest.CaptureFixture[str]
) -> None:
    def command() -> None:
        raise end

    assert exits.run(command) == code
    assert capfd.readouterr() == ("", "")


TRAIN = """
import sys
from service.__main__ import main
sys.argv[1:] = ["train", *sys.argv[1:]]
try:
    main()
finally:
    sys.stderr.write(" ".join(sys.modules))
"""


def test_training_does_without_the_command_lines_library(tmp_path: Path, sample_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", TRAIN, str(sample_path), "--k", "3", "--store", str(tmp_path)],
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=True,
    )

    assert "silhouette" in done.stdout
    assert not {"typer", "click", "pydantic"} & set(done.stderr.split())
