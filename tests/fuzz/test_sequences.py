"""Models are loaded, asked and unloaded along the description's links, and each answer fits those before."""

from pathlib import Path

from fuzz.sequences import fuzz_sequences


def test_no_sequence_of_loads_and_unloads_surprises(store_path: Path) -> None:
    found = fuzz_sequences(store_path, examples=15, random_seed=7)

    assert found.failure == ""
    assert found.accepted > 10
