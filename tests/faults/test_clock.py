"""Clocks that are put forward and back: versions keep their order, figures stay sensible."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from service.artifact import Artifact, Provenance, read_artifact
from service.serving.signals.board import Board
from service.serving.signals.live import describe_live
from service.serving.signals.meter import Meter
from service.serving.signals.source import ModelFacts, Source
from service.store import Store

PROVENANCE = Provenance(python="3.11", libraries={}, git_revision=None, data_digest="0" * 64)
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def ticking(start: datetime, *, jump: timedelta) -> Iterator[datetime]:
    """Yield times a millisecond apart; after three of them the clock is put elsewhere."""
    yield from (start + timedelta(milliseconds=step) for step in range(3))
    yield from (start + jump + timedelta(milliseconds=step) for step in range(100))


@pytest.mark.parametrize(
    "jump", [timedelta(hours=-2), timedelta(days=-400), timedelta(hours=1), timedelta(seconds=-1)], ids=str
)
def test_the_newest_version_is_the_one_written_last_wherever_the_clock_is_put(
    tmp_path: Path, artifact: Artifact, jump: timedelta
) -> None:
    times = ticking(NOON, jump=jump)
    store = Store(tmp_path / "models", now=lambda: next(times))
    written = [store.add(artifact.files, provenance=PROVENANCE) for _ in range(4)]

    assert len(set(written)) == 4
    assert store.latest() == written[-1]
    assert store.resolve().parent.name == written[-1]
    for version in written:
        assert read_artifact(store.resolve(version)).manifest.model_version == version
    seconds = [version.split("-")[0] for version in written]
    assert seconds == sorted(seconds)


def test_an_id_that_is_no_time_does_not_keep_others_from_being_written(
    tmp_path: Path, artifact: Artifact
) -> None:
    store = Store(tmp_path / "models", now=lambda: NOON)
    odd = tmp_path / "models" / "20269999T999999Z-deadbeef"
    odd.mkdir(parents=True)
    (odd / "model.tar.gz").write_bytes(b"")

    assert store.add(artifact.files, provenance=PROVENANCE).startswith("20261123T120000Z-")


@pytest.mark.parametrize("jump_s", [-7200.0, -12.0, 0.0, 12.0, 86_400.0])
def test_live_figures_stay_sensible_wherever_the_clock_is_put(
    monkeypatch: pytest.MonkeyPatch, artifact: Artifact, jump_s: float
) -> None:
    now_s = NOON.timestamp()
    monkeypatch.setattr("time.time", lambda: now_s)
    board = Board()
    meter = Meter(board)
    facts = ModelFacts.of(artifact)
    source = Source(board, facts)
    for _ in range(6):
        meter.count_request("/invocations", 200, 0.001)
        board.keep_snapshot(segments=facts.segment_cells)
        now_s += 5
    now_s += jump_s
    for _ in range(6):
        meter.count_request("/invocations", 200, 0.001)
        board.keep_snapshot(segments=facts.segment_cells)
        now_s += 5
        live = describe_live(source)
        assert live["window"]["seconds"] >= 0
        assert all(step["seconds"] >= 0 for step in live["series"])
        assert all(step["requests"] >= 0 for step in live["series"])
        assert live["time"] == now_s

    assert describe_live(source)["total"]["requests"] == 12
