"""--engine spark says in one sentence what it lacks."""

import importlib.util
import os
from pathlib import Path

import pytest

from service.cli import run
from service.errors import ConfigurationError
from service.training.sample import write_sample


@pytest.mark.skipif(importlib.util.find_spec("pyspark") is not None, reason="pyspark is here")
@pytest.mark.parametrize("command", ["train", "score"])
def test_without_pyspark_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write_sample(Path("customers.csv"), n=200)
    assert run(["train", "customers.csv", "--k", "2"]) == 0
    options = ["-o", "scored"] if command == "score" else []

    code = run([command, "customers.csv", *options, "--engine", "spark"])

    assert code == 2
    assert "needs the extra 'spark' (pyspark is not installed)" in capsys.readouterr().err


def test_without_java_its_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from service.training.spark.session import check_java

    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)

    with pytest.raises(ConfigurationError, match=r"needs Java 17 or newer.*openjdk-17-jre-headless"):
        check_java("train")

    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "java").touch()
    monkeypatch.setenv("JAVA_HOME", os.fspath(tmp_path))
    check_java("train")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["customers.csv", "--spark-conf", "spark.master=local"], "--spark-conf needs --engine spark"),
        (
            ["customers.csv", "--engine", "spark", "--spark-conf", "master"],
            "is not of the form spark.KEY=VALUE",
        ),
        (["--engine", "spark"], "--engine spark needs customer files"),
    ],
)
def test_settings_that_make_no_sense_are_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)

    code = run(["train", *options])

    assert code == 2
    assert said in capsys.readouterr().err
