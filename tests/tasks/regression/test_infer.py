"""`init` recognises numbers, and leaves classes to classification."""

import random

import pytest

from ostinato.errors import DataError
from ostinato.tasks.infer import infer_config

rng = random.Random(0)
DNA = ["".join(rng.choice("ACGT") for _ in range(30)) for _ in range(60)]
DECIMALS = [round(rng.gauss(0, 1), 4) for _ in range(60)]
COUNTS = list(range(100, 160))


@pytest.fixture
def write(tmp_path):
    def write_table(**columns):
        lines = [columns, *zip(*columns.values(), strict=True)]
        path = tmp_path / "some.csv"
        path.write_text("".join(",".join(map(str, line)) + "\n" for line in lines), encoding="utf-8")
        return path

    return write_table


@pytest.mark.parametrize("numbers", [DECIMALS, COUNTS])
@pytest.mark.parametrize("name", ["target", "label", "melting"])
def test_column_of_many_numbers_is_a_target(write, name, numbers):
    config, reasons = infer_config(write(sequence=DNA, **{name: numbers}))
    assert (config.task, config.data.target_columns) == ("regression", [name])
    assert any("regression" in reason and "60 different" in reason for reason in reasons)


def test_identifiers_are_not_targets(write):
    config, _ = infer_config(write(id=range(60), sequence=DNA, melting=DECIMALS))
    assert config.data.target_columns == ["melting"]


@pytest.mark.parametrize("labels", [[0, 1] * 30, [1.0, 2.5] * 30, ["low", "high"] * 30, list(range(15)) * 4])
def test_few_values_are_classes(write, labels):
    assert infer_config(write(sequence=DNA, label=labels)).config.task == "classification"


def test_a_few_decimals_under_another_name_are_a_target(write):
    config, _ = infer_config(write(sequence=DNA, price=[1.5 * (n % 12) for n in range(60)]))
    assert (config.task, config.data.target_columns) == ("regression", ["price"])


def test_class_beside_numbers_is_the_label(write):
    config, _ = infer_config(write(sequence=DNA, score=DECIMALS, kind=["a", "b"] * 30))
    assert (config.task, config.data.label_column) == ("classification", "kind")


def test_stray_text_among_numbers_is_refused(write):
    with pytest.raises(DataError, match="label is 'high'"):
        infer_config(write(sequence=DNA, label=[*DECIMALS[:59], "high"]))


def test_number_in_fasta_headers_is_found(tmp_path):
    path = tmp_path / "some.fasta"
    path.write_text("".join(f">s{n} y={y}\n{dna}\n" for n, (y, dna) in enumerate(zip(DECIMALS, DNA, strict=True))))
    config, _ = infer_config(path)
    assert config.task == "regression"
    assert config.data.label_pattern is not None
