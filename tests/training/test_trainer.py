"""A model depends on the records and hyperparameters alone."""

import json
from pathlib import Path

import numpy as np
import pytest

from service.errors import TrainingError
from service.training.dataset import Dataset, read_dataset
from service.training.hyperparameters import Hyperparameters
from service.training.trainer import TrainedModel, train
from service.transform import Transform

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data"
SEGMENTATION = SHARED / "customer_segmentation_data.csv"
MARKETING = {
    "Purchases": "NumWebPurchases+NumCatalogPurchases+NumStorePurchases",
    "Age": "2014-Year_Birth",
}
DIALECTS = (
    "marketing_campaign.tab.csv",
    "marketing_campaign.bom_semicolon_crlf.csv",
    "marketing_data.bom_currency_spaced_header.csv",
)

needs_shared_data = pytest.mark.skipif(
    not SHARED.is_dir(), reason="the shared data is not beside the project"
)


def read(path: Path, mapping: dict[str, str] | None = None) -> Dataset:
    return read_dataset([path], mapping=mapping or {}, rejects_path=path.with_suffix(".rejects"))


def fit(dataset: Dataset, hyperparameters: Hyperparameters) -> TrainedModel:
    return train(dataset, hyperparameters, on_progress=lambda *_: None)


@pytest.mark.parametrize("transform", list(Transform))
def test_the_order_of_the_records_does_not_matter(
    tmp_path: Path, sample_path: Path, transform: Transform
) -> None:
    header, *rows = sample_path.read_text().splitlines()
    np.random.default_rng(5).shuffle(rows)
    (tmp_path / "shuffled.csv").write_text("\n".join([header, *rows]))
    hyperparameters = Hyperparameters(k=4, transform=transform)
    first = fit(read(sample_path), hyperparameters)
    second = fit(read(tmp_path / "shuffled.csv"), hyperparameters)

    assert first.files["model.json"] == second.files["model.json"]
    assert first.provenance.data_digest == second.provenance.data_digest


@needs_shared_data
def test_three_dialects_of_the_same_records_give_one_model_digest() -> None:
    models = [fit(read(SHARED / name, MARKETING), Hyperparameters(k=4)) for name in DIALECTS]

    assert len({model.model.digest for model in models}) == 1
    assert sum(segment.size for segment in models[0].model.segments) == 2240


@needs_shared_data
def test_the_users_file_gives_the_silhouettes_that_were_measured_by_hand() -> None:
    trained = fit(read(SEGMENTATION), Hyperparameters())
    findings = trained.findings
    found = {candidate.k: round(candidate.silhouette, 2) for candidate in findings.candidates}
    association = findings.associations[0]

    assert (found[2], found[3], found[4], found[5]) == (0.69, 0.56, 0.49, 0.50)
    assert (findings.choice.k, findings.choice.by.value) == (3, "stable")
    assert findings.choice.rules["silhouette"] == 2
    assert len(trained.model.centroids) == 3
    assert "no evidence of natural groups: treat as a convenience split" in findings.structure.sentence
    assert "heavy tail: the top 5% of records hold 85%" in trained.warnings[0]
    assert findings.explanation.fidelity > 0.99
    assert association.column == "Gender"
    assert association.p > 0.05


@needs_shared_data
def test_the_association_with_gender_is_that_measured_by_hand() -> None:
    found = {
        (k, transform): fit(read(SEGMENTATION), Hyperparameters(k=k, transform=transform))
        for k, transform in ((4, Transform.NONE), (3, Transform.LOG1P))
    }
    plain = found[4, Transform.NONE].findings.associations[0]
    mended = found[3, Transform.LOG1P].findings.associations[0]

    assert (round(plain.cramers_v, 3), round(plain.p, 2)) == (0.054, 0.40)
    assert (round(mended.cramers_v, 3), round(mended.p, 3)) == (0.083, 0.032)
    assert mended.low < mended.cramers_v < mended.high


def test_a_heavy_tail_is_not_warned_of_where_it_was_mended_or_is_none(
    tmp_path: Path, sample_path: Path
) -> None:
    rows = [f"{20 + n % 50},{50_000 + n},{10 + n % 3}" for n in range(200)]
    (tmp_path / "even.csv").write_text("\n".join(["Age,Income,Purchases", *rows]))

    assert fit(read(sample_path), Hyperparameters(k=3)).warnings
    assert not fit(read(sample_path), Hyperparameters(k=3, transform=Transform.LOG1P)).warnings
    assert not fit(read(tmp_path / "even.csv"), Hyperparameters(k=3)).warnings


def test_the_seed_is_used(sample_path: Path) -> None:
    dataset = read(sample_path)
    digests = {fit(dataset, Hyperparameters(k=9, seed=seed)).model.digest for seed in range(4)}

    assert len(digests) > 1


def test_training_json_says_how_the_model_came_about(sample_path: Path) -> None:
    trained = fit(read(sample_path), Hyperparameters(transform=Transform.LOG1P))
    document = json.loads(trained.files["training.json"])

    assert document["hyperparameters"] == {"k": "auto", "transform": "log1p", "seed": 42, "n_init": 10}
    assert document["data"]["used"] == 1000
    assert document["data"]["no_purchases"] > 0
    assert [candidate["k"] for candidate in document["sweep"]] == list(range(2, 11))
    assert document["metrics"]["n_clusters"] == len(trained.model.centroids)
    assert document["choice"]["k"] == len(trained.model.centroids)
    assert document["lineage"]["method"] == "cold"
    assert document["lineage"]["next_id"] == len(trained.model.centroids)
    assert {"structure", "tail", "segments", "overall", "explanation", "associations", "baseline"} <= set(
        document
    )
    for segment in document["segments"]:
        assert set(segment["statistics"]) == {"Age", "Income", "Purchases", "Spending_Power"}
        assert set(segment["statistics"]["Age"]) == {
            "mean",
            "median",
            "min",
            "p05",
            "p25",
            "p75",
            "p95",
            "max",
        }
        assert len(segment["examples"]) == 2
        assert segment["silhouettes"] == sorted(segment["silhouettes"])
        assert len(segment["silhouettes"]) <= 200
        mean, everyone = (
            segment["statistics"]["Age"]["mean"],
            document["overall"]["statistics"]["Age"]["mean"],
        )
        assert segment["difference"]["Age"] == pytest.approx(mean / everyone - 1)


def test_the_golden_records_are_no_customers(sample_path: Path) -> None:
    dataset = read(sample_path)
    trained = fit(dataset, Hyperparameters(k=4))
    customers = {
        (age, income / max(purchases, 1))
        for age, income, purchases in zip(
            dataset.ages.tolist(), dataset.incomes.tolist(), dataset.purchases.tolist(), strict=True
        )
    }

    assert len(trained.model.golden.records) == 32
    assert set(trained.model.golden.clusters) == {0, 1, 2, 3}
    assert not customers & set(trained.model.golden.records)


def test_too_few_distinct_records_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "few.csv").write_text("Age,Income,Purchases\n30,100,1\n40,200,2\n30,100,1\n")

    assert len(fit(read(tmp_path / "few.csv"), Hyperparameters(k=2)).model.centroids) == 2
    with pytest.raises(TrainingError, match="distinct records"):
        fit(read(tmp_path / "few.csv"), Hyperparameters(k=3))


def test_one_customer_is_one_segment(tmp_path: Path) -> None:
    (tmp_path / "one.csv").write_text("Age,Income,Purchases\n30,100,1\n")
    trained = fit(read(tmp_path / "one.csv"), Hyperparameters())

    assert [segment.size for segment in trained.model.segments] == [1]
    assert trained.model.is_healthy()
