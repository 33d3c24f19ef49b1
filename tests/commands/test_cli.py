"""The command line: exit codes, one message for an error, help for every command."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

import service
from service.artifact import read_artifact
from service.cli import run
from service.store import Store
from tests.conftest import clean_environment


@dataclass
class Result:
    """Hold what a command left behind."""

    returncode: int
    stdout: str
    stderr: str


Segserve = Callable[..., Result]


@pytest.fixture(name="segserve")
def _segserve(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Segserve:
    """Run a command in `tmp_path`, in this process: scikit-learn takes seconds to import."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SERVICE_PREFIX", str(tmp_path / "ml"))

    def segserve(*arguments: str) -> Result:
        capsys.readouterr()
        code = run(arguments)
        return Result(code, *capsys.readouterr())

    return segserve


def test_train_prints_the_data_report_the_segments_and_the_version(
    segserve: Segserve, tmp_path: Path, sample_path: Path
) -> None:
    result = segserve("train", str(sample_path), "--k", "4")
    version = Store(tmp_path / "models").latest()

    assert result.returncode == 0, result.stderr
    assert "1,000 of 1,000 customers used" in result.stdout
    assert "without a purchase: counted as one purchase" in result.stdout
    assert "Warning: Spending_Power has a heavy tail" in result.stdout
    assert f"model       {version}" in result.stdout
    for column in ("customers", "share", "Age", "Income", "Purchases", "Spending_Power"):
        assert column in result.stdout
    assert result.stderr == ""


def test_train_json_is_one_document(segserve: Segserve, tmp_path: Path, sample_path: Path) -> None:
    result = segserve("train", str(sample_path), "--json", "--transform", "log1p")
    document = json.loads(result.stdout)

    assert document["version"] == Store(tmp_path / "models").latest()
    assert sum(segment["size"] for segment in document["segments"]) == 1000
    assert [candidate["k"] for candidate in document["sweep"]] == list(range(2, 11))
    assert document["rejects"] is None


def test_train_again_makes_another_version_with_the_same_digest(
    segserve: Segserve, sample_path: Path
) -> None:
    documents = [
        json.loads(segserve("train", str(sample_path), "--k", "3", "--json").stdout) for _ in range(2)
    ]

    assert documents[0]["version"] != documents[1]["version"]
    assert documents[0]["digest"] == documents[1]["digest"]


def test_train_says_how_k_came_about_and_what_to_think_of_it(segserve: Segserve, sample_path: Path) -> None:
    output = segserve("train", str(sample_path)).stdout

    assert "> 3" in output
    for rule in ("stability", "worst Jaccard", "silhouette", "Calinski-Harabasz", "Davies-Bouldin", "gap"):
        assert rule in output
    assert "The rules (*) do not agree on k: stability 3" in output
    assert "Choice: no k meets all limits" in output
    assert "Structure: no evidence of natural groups: treat as a convenience split" in output
    assert "Dropped column: no association of the segments with Gender is found" in output
    assert "of the customers their segment" in output


def test_a_strong_association_is_told_once_as_a_warning(segserve: Segserve, tmp_path: Path) -> None:
    path = tmp_path / "customers.csv"
    rows = [
        f"{age},{30_000 + 7 * age},{age % 5 + 1},{'old' if age > 44 else 'young'}" for age in range(18, 70)
    ]
    path.write_text("\n".join(["Age,Income,Purchases,Group", *rows, *rows]) + "\n")
    output = segserve("train", str(path), "--k", "3").stdout

    assert output.count("association of the segments with Group") == 1
    assert "Warning: there is a" in output
    assert "Dropped column" not in output


def test_production_is_continued_with_ids_and_with_the_names_that_people_gave(
    segserve: Segserve, tmp_path: Path, sample_path: Path
) -> None:
    names_path = tmp_path / "models" / "segment-names.json"
    first = json.loads(segserve("train", str(sample_path), "--k", "4", "--json").stdout)
    segserve("models", "promote", first["version"])
    family = first["lineage"]["family"]
    names = json.loads(names_path.read_text())
    names[family]["1"] = "Our best"
    names_path.write_text(json.dumps(names))
    second = json.loads(segserve("train", str(sample_path), "--k", "4", "--json").stdout)
    third = segserve("train", str(sample_path), "--k", "3", "--previous", second["version"]).stdout
    anew = json.loads(segserve("train", str(sample_path), "--k", "4", "--previous", "none", "--json").stdout)

    assert second["lineage"]["previous"] == first["version"]
    assert second["lineage"]["method"] == "warm-start"
    assert second["lineage"]["kept_share"] == 1.0
    assert [one["name"] for one in second["segments"]][1] == "Our best"
    assert f"the ids are matched to {second['version']}" in third
    assert "gone: " in third
    assert anew["lineage"]["previous"] is None
    assert json.loads(names_path.read_text())[family]["1"] == "Our best"


def test_a_file_of_names_that_cannot_be_read_stops_before_training(
    segserve: Segserve, tmp_path: Path, sample_path: Path
) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "segment-names.json").write_text("{")
    result = segserve("train", str(sample_path))

    assert result.returncode == 2
    assert "segment-names.json is not JSON" in result.stderr
    assert Store(tmp_path / "models").versions() == []


def test_rejected_rows_are_kept_beside_the_version(segserve: Segserve, tmp_path: Path) -> None:
    (tmp_path / "customers.csv").write_text(
        "Customer_ID,Age,Income,Purchases\n1,30,50000,5\n2,0,50000,5\n3,41,-1,2\n4,52,61000,x\n5,47,9000,1\n"
    )
    result = segserve("train", "customers.csv", "--k", "2")
    version = Store(tmp_path / "models").latest()
    rejects = (tmp_path / "models" / str(version) / "rejects.csv").read_text().splitlines()

    assert result.returncode == 0, result.stderr
    assert "2 of 5 customers used" in result.stdout
    assert rejects == [
        "file,line,column,reason,Customer_ID,Age,Income,Purchases",
        "customers.csv,3,Age,Age must be greater than 0,2,0,50000,5",
        "customers.csv,4,Income,Income must not be negative,3,41,-1,2",
        "customers.csv,5,Purchases,Purchases is not a number,4,52,61000,x",
    ]


def test_a_file_of_rejects_alone_fails_with_one_message_and_keeps_them(
    segserve: Segserve, tmp_path: Path
) -> None:
    (tmp_path / "customers.csv").write_text("Age,Income,Purchases\n-1,5,5\n-2,5,5\n")
    result = segserve("train", "customers.csv")

    assert result.returncode == 1
    assert len(result.stderr.splitlines()) == 1
    assert "models/rejects.csv" in result.stderr
    assert len((tmp_path / "models" / "rejects.csv").read_text().splitlines()) == 3
    assert Store(tmp_path / "models").versions() == []


FAILURES = [
    (["train", "absent.csv"], 1, "absent.csv cannot be read: No such file or directory"),
    (["train", "no_age.csv"], 1, "no column Age"),
    (["train", "SAMPLE", "--k", "0"], 2, "auto or 1 to 1000"),
    (["train", "SAMPLE", "--k", "many"], 2, "auto or 1 to 1000"),
    (["train", "few.csv", "--k", "3"], 1, "k=3 needs at least 3 distinct records"),
    (["train", "SAMPLE", "--transform", "sqrt"], 2, "'none', 'log1p'"),
    (["train", "SAMPLE", "--map", "Age"], 2, "Target=expression"),
    (["train", "SAMPLE", "--map", "Age=Age", "--map", "Age=Income"], 2, "twice"),
    (["train", "SAMPLE", "--map", "Age=__import__('os')"], 2, "where an operator was expected"),
    (["train", "SAMPLE", "--map", "Gender=Age"], 2, "Age, Income"),
    (["train", "SAMPLE", "--id-column", "Ident"], 1, "Ident"),
    (["train", "SAMPLE", "--decimal", ";"], 2, "--decimal"),
    (["train", "SAMPLE", "--previous", "x"], 2, "--previous: the model store models holds no model yet"),
    (["train", "SAMPLE", "--previous", "./x"], 2, "--previous: there is no model artifact at x"),
    (["train"], 2, "train needs a customer file, or SageMaker's training tree"),
    (["score", "SAMPLE", "-o", "out.csv"], 3, "holds no model yet"),
    (["score", "SAMPLE"], 2, "--output"),
    (["serve", "--port", "99999"], 2, "an integer from 0 to 65535"),
    (["models", "show"], 3, "holds no model yet"),
    (["models", "rollback"], 3, "no earlier production"),
    (["models", "promote", "x"], 3, "holds no model yet"),
    (["sample-data", "-o", "absent/x.csv"], 1, "cannot be written"),
    (["nonsense"], 2, "nonsense"),
]


@pytest.mark.parametrize(("arguments", "code", "message"), FAILURES, ids=range(len(FAILURES)))
def test_a_failure_has_its_exit_code_and_one_message(
    segserve: Segserve, tmp_path: Path, sample_path: Path, arguments: list[str], code: int, message: str
) -> None:
    (tmp_path / "no_age.csv").write_text("Income,Purchases\n1,1\n")
    (tmp_path / "few.csv").write_text("Age,Income,Purchases\n30,1,1\n40,1,1\n30,1,1\n")
    given = [str(sample_path) if argument == "SAMPLE" else argument for argument in arguments]
    result = segserve(*given)

    assert result.returncode == code, result.stderr
    assert message in " ".join(result.stderr.split())
    assert "Traceback" not in result.stderr + result.stdout


def test_models_list_and_show_tell_what_there_is(segserve: Segserve, store_path: Path) -> None:
    version = Store(store_path).latest()
    listed = segserve("models", "list", "--store", str(store_path))
    shown = segserve("models", "show", "--store", str(store_path))
    document = json.loads(segserve("models", "show", "--json", "--store", str(store_path)).stdout)

    assert str(version) in listed.stdout
    assert "latest" in listed.stdout
    assert document["digest"] in shown.stdout
    assert len(document["segments"]) == document["k"] == 4
    assert segserve("models", "list").stdout.startswith("No model in models yet")


@pytest.fixture(name="damaged_version")
def _damaged_version(tmp_path: Path, store_path: Path) -> str:
    """Return the newer version of the store in `tmp_path`, in production and of junk."""
    shutil.copytree(store_path, tmp_path / "models")
    store = Store(tmp_path / "models")
    artifact = read_artifact(store.resolve())
    damaged = store.add(artifact.files, provenance=artifact.manifest.provenance)
    store.promote(damaged)
    store.resolve(damaged).write_bytes(b"junk")
    return damaged


def test_a_damaged_version_is_listed_with_its_reason(
    segserve: Segserve, tmp_path: Path, damaged_version: str
) -> None:
    """A reviewer's fault: one damaged version hid all others."""
    healthy = Store(tmp_path / "models").versions()[1]
    text = segserve("models", "list")
    document = segserve("models", "list", "--json")
    rows = json.loads(document.stdout)
    lines = text.stdout.splitlines()
    reason = " ".join(" ".join(lines[1:-1]).split())

    assert (text.returncode, document.returncode) == (1, 1)
    assert text.stderr == document.stderr
    assert text.stderr == f"Error: 1 of 2 versions cannot be used: {damaged_version}\n"
    assert damaged_version in lines[1]
    assert f"production, latest: {rows[0]['error']}" in reason
    assert "is not a gzip-compressed tar archive" in reason
    assert healthy in lines[-1]
    assert " 1,000 " in lines[-1]
    assert rows[0].keys() == {"version", "channels", "error"}
    assert rows[0]["version"] == damaged_version
    assert rows[0]["channels"] == ["production", "latest"]
    assert rows[1]["version"] == healthy
    assert rows[1]["customers"] == 1000


def test_training_beside_a_damaged_production_version_says_how_to_go_on(
    segserve: Segserve, sample_path: Path, damaged_version: str
) -> None:
    plain = segserve("train", str(sample_path), "--k", "2")
    asked = segserve("train", str(sample_path), "--k", "2", "--previous", damaged_version)
    anew = segserve("train", str(sample_path), "--k", "2", "--previous", "none")

    assert (plain.returncode, asked.returncode, anew.returncode) == (3, 3, 0)
    for result in (plain, asked):
        assert f"{damaged_version}, the version to continue, cannot be used: " in result.stderr
        assert result.stderr.endswith("Train without it: --previous none\n")


def test_training_says_how_to_go_on_without_a_production_version_that_is_gone(
    segserve: Segserve, tmp_path: Path, sample_path: Path, damaged_version: str
) -> None:
    shutil.rmtree(tmp_path / "models" / damaged_version)
    result = segserve("train", str(sample_path), "--k", "2")

    assert result.returncode == 3
    assert "does not hold the model" in result.stderr
    assert result.stderr.endswith("Train without it: --previous none\n")


@pytest.mark.parametrize("ending", ["xlsx", "json"])
def test_score_refuses_to_write_what_is_no_table_of_ours(
    segserve: Segserve, tmp_path: Path, sample_path: Path, store_path: Path, ending: str
) -> None:
    result = segserve("score", str(sample_path), "-o", f"out.{ending}", "--store", str(store_path))

    assert result.returncode == 2
    assert f"out.{ending} cannot be written: CSV and Parquet are written, not .{ending}" in result.stderr
    assert not (tmp_path / f"out.{ending}").exists()


def test_promote_and_rollback_move_production(segserve: Segserve, tmp_path: Path, sample_path: Path) -> None:
    for _ in range(2):
        segserve("train", str(sample_path), "--k", "2")
    newest, oldest = Store(tmp_path / "models").versions()

    assert oldest in segserve("models", "promote", oldest).stdout
    assert newest in segserve("models", "promote", newest).stdout
    assert oldest in segserve("models", "rollback").stdout
    channels = {
        row["version"]: row["channels"] for row in json.loads(segserve("models", "list", "--json").stdout)
    }
    assert channels == {newest: ["latest"], oldest: ["production"]}


def test_score_says_how_many_customers_are_in_each_segment(
    segserve: Segserve, tmp_path: Path, sample_path: Path, store_path: Path
) -> None:
    result = segserve("score", str(sample_path), "-o", "out.csv", "--store", str(store_path))
    document = json.loads(
        segserve("score", str(sample_path), "-o", "out.csv", "--store", str(store_path), "--json").stdout
    )

    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("1,000 customers scored with ")
    assert sum(document["sizes"]) == 1000
    assert len((tmp_path / "out.csv").read_text().splitlines()) == 1001


def test_new_files_are_mapped_as_the_training_data_was(segserve: Segserve, tmp_path: Path) -> None:
    rows = "".join(f"{1950 + n},{30000 + 700 * n},{n % 7 + 1}\n" for n in range(60))
    (tmp_path / "in.csv").write_text(f"Year_Birth,Income,Web\n{rows}")
    (tmp_path / "plain.csv").write_text("Age,Income,Purchases\n40,30000,2\n")
    (tmp_path / "other.csv").write_text("Born,Income,Purchases\n1974,30000,2\n")
    options = ("--map", "Age=2014-Year_Birth", "--map", "Purchases=Web")
    trained = segserve("train", "in.csv", "--k", "3", *options)
    assert trained.returncode == 0, trained.stderr

    scored = segserve("score", "in.csv", "-o", "out.csv")
    said = segserve("score", "in.csv", "-o", "said.csv", *options)
    plain = segserve("score", "plain.csv", "-o", "plain-out.csv")
    other = segserve("score", "other.csv", "-o", "other-out.csv")
    drift = segserve("drift", "in.csv")
    compared = segserve("models", "compare", "latest", "latest", "--on", "in.csv")

    assert "Age is 2014-Year_Birth, Purchases is Web" in scored.stdout
    assert "2014" not in said.stdout + plain.stdout
    assert (tmp_path / "out.csv").read_bytes() == (tmp_path / "said.csv").read_bytes()
    assert (tmp_path / "plain-out.csv").read_text().count("\n") == 2
    assert "no column Age" in other.stderr
    assert drift.stdout.startswith("KEEP"), drift.stderr
    assert compared.returncode == 0, compared.stderr


def test_sample_data_writes_what_was_asked_for(segserve: Segserve, tmp_path: Path) -> None:
    assert segserve("sample-data", "-o", "s.csv", "--n", "25", "--seed", "3").returncode == 0
    assert len((tmp_path / "s.csv").read_text().splitlines()) == 26


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"segserve {service.__version__}\n"


def test_no_command_shows_the_help(segserve: Segserve) -> None:
    result = segserve()

    assert result.returncode == 2
    assert "sample-data" in result.stdout + result.stderr


def test_a_failure_of_the_program_itself_is_told_the_same_way(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "service", "train", "absent.csv"],
        cwd=tmp_path,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )

    assert result.returncode == 1
    assert result.stderr == "Error: absent.csv cannot be read: No such file or directory\n"
    assert result.stdout == ""


def test_a_missing_extra_is_named(tmp_path: Path, sample_path: Path) -> None:
    code = (
        "import sys; sys.modules['sklearn'] = None; sys.modules['pyarrow'] = None\n"
        "from service.cli import main; main(sys.argv[1:])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, "train", str(sample_path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert result.returncode == 2
    assert "pip install 'segserve[train]'" in result.stderr
    assert "Traceback" not in result.stderr


ENDS = """
import atexit
from service import cli

atexit.register(print, "the interpreter ends")
cli.run = lambda _: print("done") or {code}
cli.main()
"""


@pytest.mark.parametrize(("code", "more"), [(0, "the interpreter ends\n"), (143, ""), (1, "")])
def test_what_was_broken_off_exits_at_once(code: int, more: str) -> None:
    """Threads of Arrow may be amid a file, and crash the end of an interpreter: rarely, and seen in CI."""
    done = subprocess.run(
        [sys.executable, "-c", ENDS.format(code=code)], capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stdout, done.stderr) == (code, f"done\n{more}", "")
