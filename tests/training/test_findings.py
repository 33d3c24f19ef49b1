"""What training tells about segments is true: rules, associations, baseline, names."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import chi2_contingency, ncx2
from scipy.stats.contingency import association as scipy_association

from service.errors import ConfigurationError
from service.training.association import OTHER, find_associations
from service.training.attributes import Attribute
from service.training.baseline import take_baseline
from service.training.dataset import read_dataset
from service.training.explanation import Box, explain_segments
from service.training.names import read_names, write_names

GENERATOR = np.random.default_rng(7)
VECTORS = np.column_stack([GENERATOR.uniform(18, 70, 900), GENERATOR.uniform(500, 9_000, 900)])
LABELS = np.where(VECTORS[:, 0] > 45, 0, np.where(VECTORS[:, 1] > 4_000, 1, 2)).astype(np.int32)


def test_rules_say_what_sets_segments_apart() -> None:
    found = explain_segments(VECTORS, LABELS, k=3, seed=1)

    assert found.fidelity > 0.99
    assert found.depth <= 3
    assert [rule.text.split()[0] for rule in found.rules] == ["Age", "Age", "Age"]
    assert "Age > 45" in found.rules[0].text
    assert "Spending_Power >" in found.rules[1].text
    assert "Spending_Power ≤" in found.rules[2].text
    assert all(rule.precision > 0.98 and rule.coverage > 0.98 for rule in found.rules)


def test_rules_own_up_to_what_they_miss() -> None:
    noisy = GENERATOR.integers(0, 3, 900).astype(np.int32)
    found = explain_segments(VECTORS, noisy, k=3, seed=1)

    assert found.fidelity < 0.6


def test_a_segment_that_the_tree_does_not_tell_has_its_range() -> None:
    many = np.minimum(VECTORS[:, 0] - 18, 51).astype(np.int32) // 4
    found = explain_segments(VECTORS, many, k=13, seed=1)

    assert len(found.rules) == 13
    assert all(rule.text and rule.coverage > 0.5 for rule in found.rules)
    assert any("<" in rule.text and "and" in rule.text for rule in found.rules)


def test_one_segment_is_everybody() -> None:
    found = explain_segments(VECTORS, np.zeros(900, dtype=np.int32), k=1, seed=1)

    assert found.rules[0].text == "any Age and Spending_Power"
    assert found.fidelity == 1.0


def test_halves_of_a_box_are_joined_and_others_are_not() -> None:
    low, high = Box().cut(0, 40.0)
    corner, _ = high.cut(1, 100.0)

    assert low.join(high) == high.join(low) == Box()
    assert low.join(corner) is None


def attribute(values: tuple[str, ...], codes: list[int]) -> Attribute:
    return Attribute("Gender", values, np.array(codes, dtype=np.int8))


def test_an_association_is_that_of_scipy() -> None:
    codes = GENERATOR.integers(0, 3, 900)
    codes[LABELS == 1] = np.minimum(codes[LABELS == 1], 1)
    (found,) = find_associations([attribute(("c", "b", "a"), codes.tolist())], LABELS, ids=(0, 4, 9))
    table = np.array([list(row.values()) for row in found.table.values()])

    assert found.cramers_v == pytest.approx(scipy_association(table, method="cramer"))
    assert found.p == pytest.approx(chi2_contingency(table, correction=False).pvalue)
    statistic = chi2_contingency(table, correction=False).statistic
    for limit, probability in ((found.low, 0.975), (found.high, 0.025)):
        assert ncx2.cdf(statistic, 4, limit**2 * 900 * 2) == pytest.approx(probability)
    assert found.low < found.cramers_v < found.high
    assert list(found.table) == [0, 4, 9]
    assert found.values == ("a", "b", "c")
    assert found.table[4]["a"] == 0
    assert found.is_worth_a_warning
    assert "association of the segments with Gender" in found.sentence


def test_the_interval_holds_the_true_value_19_times_in_20() -> None:
    """Gender is drawn with a probability that depends on the segment; V of the population is known."""
    shares = np.array([0.35, 0.5, 0.65])
    labels = np.repeat(np.arange(3), 200).astype(np.int32)
    truth = float(np.sqrt((shares - 0.5).var() / 0.25))
    hits = 0
    for _ in range(200):
        codes = (GENERATOR.random(600) < shares[labels]).astype(int)
        (found,) = find_associations([attribute(("f", "m"), codes.tolist())], labels, ids=(0, 1, 2))
        hits += found.low <= truth <= found.high

    assert hits >= 180


def test_without_association_none_is_claimed() -> None:
    codes = np.arange(900) % 2
    (found,) = find_associations([attribute(("f", "m"), codes.tolist())], LABELS, ids=(0, 1, 2))

    assert found.low == 0.0
    assert not found.is_worth_a_warning
    assert found.sentence.startswith("no association of the segments with Gender is found")


def test_rare_values_are_one_and_single_ones_are_nothing() -> None:
    codes = [0] * 500 + [1] * 392 + [2] * 3 + [3] * 2 + [-1] * 3
    (found,) = find_associations([attribute(("f", "m", "Ann", "Bob"), codes)], LABELS, ids=(0, 1, 2))

    assert found.values == ("f", "m", OTHER)
    assert sum(row[OTHER] for row in found.table.values()) == 5
    assert sum(sum(row.values()) for row in found.table.values()) == 897
    assert find_associations([attribute(("f",), [0] * 900)], LABELS, ids=(0, 1, 2)) == []


def test_columns_with_few_values_are_kept_and_others_are_not(tmp_path: Path) -> None:
    genders = ["Male", " Female ", "", "Male"]
    rows = [f"{n},{20 + n % 50},{50_000 + n},{n % 9},{genders[n % 4]},{n % 3}" for n in range(400)]
    rows.insert(5, "x,-1,5,5,Diverse,9")
    (tmp_path / "one.csv").write_text("\n".join(["Id,Age,Income,Purchases,Gender,Kids", *rows]))
    (tmp_path / "two.csv").write_text("GENDER,Age,Income,Purchases\nFemale,30,1,1\n")
    paths = [tmp_path / "one.csv", tmp_path / "two.csv"]
    found = {
        one.column: one for one in read_dataset(paths, mapping={}, rejects_path=tmp_path / "r").attributes
    }

    assert set(found) == {"Gender", "Kids"}
    assert set(found["Gender"].values) == {"Male", "Female"}
    assert len(found["Gender"].codes) == len(found["Kids"].codes) == 401
    assert np.count_nonzero(found["Gender"].codes < 0) == 100
    assert found["Gender"].values[found["Gender"].codes[-1]] == "Female"
    assert found["Kids"].codes[-1] == -1


def test_the_baseline_is_what_the_customers_were_like() -> None:
    columns = {"Age": VECTORS[:, 0], "Purchases": np.repeat(3.0, 900)}
    found = take_baseline(columns, LABELS, ids=(0, 4, 9), seed=1)
    again = json.loads(json.dumps(found))

    assert found["n"] == 900
    assert len(found["features"]["Age"]["shares"]) == len(found["features"]["Age"]["edges"]) - 1 == 10
    assert sum(found["features"]["Age"]["shares"]) == pytest.approx(1)
    assert found["features"]["Purchases"] == {"edges": [3.0, 3.0], "shares": [1.0]}
    assert set(found["sample"]["segment"]) == {0, 4, 9}
    assert len(found["sample"]["Age"]) == 900
    assert again["segment_shares"]["4"] == pytest.approx(float((LABELS == 1).mean()))


def test_names_survive_the_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "segment-names.json"
    names = {"abc": {0: "Jünger", 12: "Älter"}, "def": {3: "x"}}
    write_names(path, names)

    assert read_names(path) == names
    assert "Jünger" in path.read_text(encoding="utf-8")
    assert [entry.name for entry in tmp_path.iterdir()] == ["segment-names.json"]
    assert read_names(tmp_path / "absent.json") == {}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"abc": {"0": "x"', "is not JSON: .* in line 1, column 18"),
        ("[1]", "must hold names by family and id"),
        ('{"abc": 1}', "must hold names by family and id"),
        ('{"abc": {"zero": "x"}}', "family abc: 'zero' is no segment id"),
        ('{"abc": {"0": ""}}', "the name of segment 0 should be text of 1 to 80 characters"),
        ('{"abc": {"0": 5}}', "the name of segment 0 should be text"),
        ('{"abc": {"0": "' + "x" * 81 + '"}}', "1 to 80 characters"),
        ('{"abc": {"0": "a\\nb"}}', "control character"),
        ('{"abc": {"0": "x", "1": " x "}}', "two segments are called 'x'"),
    ],
    ids=range(9),
)
def test_a_file_of_names_that_cannot_be_used_is_explained(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "segment-names.json"
    path.write_text(content)

    with pytest.raises(ConfigurationError, match=message):
        read_names(path)
