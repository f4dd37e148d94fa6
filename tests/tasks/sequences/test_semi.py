"""Self-training: the loss by hand, leaks, resumed runs, and that it helps where labels are few."""

from dataclasses import replace
from html import unescape
from pathlib import Path

import numpy as np
import pytest
import torch

import ostinato
from ostinato import runs
from ostinato.config import SequenceModel
from ostinato.errors import ConfigError, DataError, RunError
from ostinato.evaluation.baselines.teacher import teach
from ostinato.progress import unlimited
from ostinato.runs.report import report_run
from ostinato.storage import load_tensors, save_tensors
from ostinato.tasks.classification.objective import CrossEntropy
from ostinato.tasks.classification.task import Classification
from ostinato.tasks.config import parse_config
from ostinato.tasks.multilabel.task import Multilabel
from ostinato.tasks.sequences.prepare import encode_unlabelled
from ostinato.tasks.sequences.semi import read_teacher, with_soft_labels
from ostinato.tasks.sequences.unlabelled import select_unlabelled
from ostinato.training.objective import Labelled

WORDS = {0: [f"dull{n}" for n in range(12)], 1: [f"fine{n}" for n in range(12)]}
MODEL = {**SequenceModel.OLD_DEFAULTS, "embedding_size": 8, "hidden_size": 8, "pooling": ["mean"]}


def texts(n, seed, purity=0.75):
    rng = np.random.default_rng(seed)
    return [
        " ".join(rng.choice(WORDS[t if rng.random() < purity else 1 - t]) for _ in range(9)) for t in np.arange(n) % 2
    ]


def write(path, rows, labels=None):
    lines = ["text"] if labels is None else ["text,label"]
    lines += rows if labels is None else [f"{row},{label}" for row, label in zip(rows, labels, strict=True)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.fixture
def values(tmp_path):
    write(tmp_path / "rows.csv", texts(80, 0), ["no", "yes"] * 40)
    write(tmp_path / "raw-1.csv", texts(60, 1))
    write(tmp_path / "raw-2.csv", texts(60, 2))
    return {
        "task": "classification",
        "data": {"path": str(tmp_path / "rows.csv"), "unlabelled": str(tmp_path / "raw-*.csv")},
        "model": MODEL,
        "training": {"semi": "self-training", "max_epochs": 2, "device": "cpu"},
    }


def built(values):
    """A config with nothing left to choose, its data, and an untrained network."""
    task, config = Classification(), parse_config(values)
    data = task.prepare(config.data)
    config = task.settle(config, data)
    return config, data, task.build(config, data.encoder, data.codec)


# The loss


def test_soft_labels_reach_the_loss_as_computed_by_hand(values):
    config, data, network = built(values)
    train = with_soft_labels(network, data, data.splits["train"], seed=0, folder=None)
    B, U = len(data.rows["train"]), len(data.unlabelled)
    assert train.targets.shape == (B + U, 2) and U == 120
    assert (train.targets[:B].argmax(dim=1) == data.splits["train"].targets).all()
    assert set(train.targets[:B].flatten().tolist()) == {0.0, 1.0}
    labelled, others = data.rows["train"].sequences, data.unlabelled.sequences
    soft, *_ = teach(labelled, data.splits["train"].targets.numpy(), others, kind="text", num_outputs=2, seed=0)
    assert np.array_equal(train.targets[B:], soft) and 0.5 < soft.max(axis=1).mean() < 1
    rows = torch.tensor([0, B, B + 5])
    batch = train.at(rows)
    logits = batch.outputs(network).double().detach().numpy()
    logs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    expected = -(train.targets[rows].numpy() * logs).sum()
    assert CrossEntropy().loss(network, batch, config.training).item() == pytest.approx(expected, rel=1e-5)
    weights = torch.tensor([1.0, 3.0])
    weighted = -(train.targets[rows].numpy() * logs * weights.numpy()).sum()
    assert CrossEntropy(weights).loss(network, batch, config.training).item() == pytest.approx(weighted, rel=1e-5)
    assert CrossEntropy(weights).weight(batch) == pytest.approx(float((train.targets[rows] @ weights).sum()))


def test_one_hot_targets_have_the_loss_of_class_indices(values):
    config, data, network = built(values)
    split, objective = data.splits["train"], CrossEntropy(torch.tensor([1.0, 2.5]))
    hot = split._replace(targets=torch.nn.functional.one_hot(split.targets, 2).float())
    assert objective.weight(hot) == pytest.approx(objective.weight(split))
    losses = [objective.loss(network, each, config.training).item() for each in (split, hot)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


def test_weights_and_offsets_are_extended_to_the_unlabelled_rows(values):
    values["model"] = {**MODEL, "wide": "ngrams"}
    config, data, network = built(values)
    task = Classification()
    objective = task.objective(config, data)
    train = data.splits["train"]._replace(weights=torch.ones(len(data.rows["train"])))
    data = replace(data, splits={**data.splits, "train": train})
    found = task.start(config, network, data, data.splits, objective, folder=None, time_left=unlimited)
    _, sequences = encode_unlabelled(data.encoder, data.unlabelled)
    assert isinstance(found, Labelled) and len(found.weights) == len(found.targets) == len(found.lengths)
    expected = network.wide(sequences.values, ostinato.nn.Layout(sequences.lengths))
    assert found.offsets[len(train.targets) :] == pytest.approx(expected.detach(), abs=1e-5)


def between(values):
    """A number that half of the values are above."""
    low, high = values.unique().quantile(torch.tensor([0.49, 0.51])).tolist()
    return (low + high) / 2


def test_rows_of_which_the_teacher_is_unsure_are_left_out(values):
    _, data, network = built(values)
    split = data.splits["train"]
    every = with_soft_labels(network, data, split, seed=0, folder=None)
    B = len(split.targets)
    sure = every.targets[B:].amax(dim=1)
    limit = between(sure)
    train = with_soft_labels(network, data, split, confidence=limit, seed=0, folder=None)
    assert torch.equal(train.targets, torch.cat([every.targets[:B], every.targets[B:][sure >= limit]]))
    assert len(train.lengths) == len(train.targets) < len(every.targets)
    with pytest.raises(DataError, match=f"confidence 1.5.*{sure.max():.3f}"):
        with_soft_labels(network, data, split, confidence=1.5, seed=0, folder=None)


def test_confidence_in_label_sets_is_that_of_the_least_certain_label(tmp_path):
    rows = [f"{row},{'good' if number % 2 else ''}" for number, row in enumerate(texts(80, 0))]
    (tmp_path / "rows.csv").write_text("\n".join(["text,labels", *rows]) + "\n", encoding="utf-8")
    write(tmp_path / "raw.csv", texts(60, 1))
    config = parse_config(
        {
            "task": "multilabel",
            "data": {"path": str(tmp_path / "rows.csv"), "unlabelled": str(tmp_path / "raw.csv")},
            "model": MODEL,
            "training": {"semi": "self-training", "device": "cpu"},
        }
    )
    task = Multilabel()
    data = task.prepare(config.data)
    network = task.build(task.settle(config, data), data.encoder, data.codec)
    split = data.splits["train"]
    B = len(split.targets)
    soft = with_soft_labels(network, data, split, seed=0, folder=None).targets[B:]
    limit = between(torch.maximum(soft, 1 - soft).amin(dim=1))
    kept = with_soft_labels(network, data, split, confidence=limit, seed=0, folder=None).targets[B:]
    expected = [row for row in soft.tolist() if min(max(p, 1 - p) for p in row) >= limit]
    assert kept.tolist() == expected and 0 < len(expected) < len(soft)


# Rows


def test_vocabulary_is_that_of_train_and_unlabelled_rows(values, tmp_path):
    with (tmp_path / "raw-1.csv").open("a", encoding="utf-8") as file:
        file.write("brandnew word\n")
    data = Classification().prepare(parse_config(values).data)
    assert "brandnew" in data.encoder.vocabulary.tokens
    assert data.codec.labels == ("no", "yes")
    assert set(data.splits) == {"train", "validation", "test"}


def test_rows_of_validation_and_test_are_removed_and_counted(values, tmp_path):
    plain = Classification().prepare(parse_config(values).data)
    leaked = [*plain.rows["test"].sequences[:3], plain.rows["validation"].sequences[0].upper()]
    write(tmp_path / "raw-3.csv", [*leaked, plain.rows["train"].sequences[0], leaked[0]])
    data = Classification().prepare(parse_config(values).data)
    held_out = {*data.rows["test"].sequences, *data.rows["validation"].sequences}
    assert not held_out & set(data.unlabelled.sequences)
    assert len(data.unlabelled) == 120
    (remark,) = [each for each in data.audit.remarks if each.kind == "unlabelled"]
    assert remark.rows == 120 and "126 unlabelled rows read, 120 used: 5 removed" in remark.text
    assert remark.text in data.audit.lines()


def test_files_that_are_mostly_held_out_rows_are_refused(values, tmp_path):
    plain = Classification().prepare(parse_config(values).data)
    write(tmp_path / "copy.csv", [*plain.rows["test"].sequences, *plain.rows["validation"].sequences])
    values["data"]["unlabelled"] = str(tmp_path / "copy.csv")
    with pytest.raises(DataError, match="24 of 24"):
        Classification().prepare(parse_config(values).data)


def test_too_few_new_rows_are_refused(values, tmp_path):
    write(tmp_path / "few.csv", ["a b", "a  B", "c d"])
    values["data"]["unlabelled"] = str(tmp_path / "few.csv")
    with pytest.raises(DataError, match="3 given, 2 of them new"):
        Classification().prepare(parse_config(values).data)


def test_pattern_without_files_and_missing_column_are_refused(values, tmp_path):
    for name, part in (("none-*.csv", "none-"), ("raw.csv", "review")):
        (tmp_path / "raw.csv").write_text("review\na b\n", encoding="utf-8")
        values["data"]["unlabelled"] = str(tmp_path / name)
        with pytest.raises(DataError, match=part):
            Classification().prepare(parse_config(values).data)


def test_other_formats_are_read_by_their_ending(values, tmp_path):
    (tmp_path / "raw.jsonl").write_text("".join(f'{{"text": "{each}"}}\n' for each in texts(40, 3)), encoding="utf-8")
    values["data"]["unlabelled"] = str(tmp_path / "raw.jsonl")
    assert len(Classification().prepare(parse_config(values).data).unlabelled) == 40


def test_fasta_needs_no_labels_in_its_headers(tmp_path):
    rng = np.random.default_rng(0)
    windows = ["".join(rng.choice(list("ACGT"), 12)) for _ in range(90)]
    labelled = [f">r{n} class={n % 2}\n{each}" for n, each in enumerate(windows[:60])]
    (tmp_path / "a.fasta").write_text("\n".join(labelled) + "\n", encoding="utf-8")
    raw = [f">u{n}\n{each}" for n, each in enumerate(windows[60:])]
    (tmp_path / "raw.fasta").write_text("\n".join(raw) + "\n", encoding="utf-8")
    data = {
        "path": str(tmp_path / "a.fasta"),
        "label_pattern": r"class=(\d)",
        "unlabelled": str(tmp_path / "raw.fasta"),
    }
    config = parse_config({"task": "classification", "data": data, "training": {"semi": "self-training"}})
    assert Classification().prepare(config.data).unlabelled.sequences == windows[60:]


# Settings


@pytest.mark.parametrize(
    ("table", "key", "part"), [("training", "semi", "data.unlabelled"), ("data", "unlabelled", "training.semi")]
)
def test_each_setting_needs_the_other(values, table, key, part):
    del values[table][key]
    with pytest.raises(ConfigError, match=part):
        parse_config(values)


def test_other_tasks_refuse_the_settings(values):
    for task in ("regression", "tagging"):
        with pytest.raises(ConfigError, match="semi"):
            parse_config({"task": task, "data": {"path": "a.csv"}, "training": {"semi": "self-training"}})


def test_series_are_refused():
    X = [[0.1, 0.2], [0.3, 0.4]] * 20
    model = ostinato.SequenceClassifier(semi="self-training", validation_fraction=None)
    with pytest.raises(ConfigError, match="numeric"):
        model.fit(X, [0, 1] * 20, unlabelled=[[0.1 * n, 0.5] for n in range(30)])


# Runs


def weights_of(folder):
    return load_tensors(folder / "model.safetensors").tensors


def test_resumed_run_has_the_bits_of_an_uninterrupted_one_and_the_same_teacher(values, tmp_path, monkeypatch):
    config = parse_config(values)
    whole = runs.start_run(config, tmp_path / "whole")
    from ostinato.training import loop

    real, steps = loop.take_step, []

    def interrupted(*arguments, **options):
        steps.append(1)
        if len(steps) == 4:
            raise KeyboardInterrupt
        return real(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "take_step", interrupted)
        with pytest.raises(KeyboardInterrupt):
            runs.start_run(config, tmp_path / "cut")
    saved = (tmp_path / "cut" / "checkpoints" / "teacher.safetensors").read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr("ostinato.tasks.sequences.semi.teach", None)  # a second fit would fail
        again = runs.resume_run(tmp_path / "cut")
    assert again["test"] == whole["test"]
    for name, tensor in weights_of(tmp_path / "whole").items():
        assert torch.equal(tensor, weights_of(tmp_path / "cut")[name]), name
    assert (tmp_path / "whole" / "checkpoints" / "teacher.safetensors").read_bytes() == saved
    facts = load_tensors(tmp_path / "cut" / "checkpoints" / "teacher.safetensors").facts
    documented = (Path(__file__).parents[3] / "docs" / "files.md").read_text(encoding="utf-8")
    assert facts["members"] and facts["temperature"] > 0
    section = documented.partition("## Labels of a teacher")[2].partition("\n## ")[0]
    assert [name for name in facts if f"`{name}`" not in section] == []


def test_labels_of_other_rows_are_refused(values, tmp_path):
    _, data, network = built(values)
    with_soft_labels(network, data, data.splits["train"], seed=0, folder=tmp_path)
    with pytest.raises(RunError, match="seed"):
        with_soft_labels(network, data, data.splits["train"], seed=1, folder=tmp_path)
    save_tensors(tmp_path / "teacher.safetensors", {}, {"kind": "rows"})
    with pytest.raises(RunError, match="labels of a teacher"):
        with_soft_labels(network, data, data.splits["train"], seed=0, folder=tmp_path)


def test_networks_on_the_same_rows_share_a_teacher(values, monkeypatch):
    config, data, network = built(values)
    calls = []

    def counted(*arguments, **options):
        calls.append(options["seed"])
        return teach(*arguments, **options)

    monkeypatch.setattr("ostinato.tasks.sequences.semi.teach", counted)
    other = Classification().build(config, data.encoder, data.codec)
    found = [with_soft_labels(each, data, data.splits["train"], seed=0, folder=None) for each in (network, other)]
    assert torch.equal(found[0].targets, found[1].targets) and calls == [0]
    with_soft_labels(network, data, data.splits["train"], seed=1, folder=None)
    assert calls == [0, 1]


def test_report_names_the_members_of_the_teacher_their_losses_and_temperature(values, tmp_path):
    folder = tmp_path / "run"
    runs.start_run(parse_config(values), folder)
    page = " ".join(unescape(report_run(folder).read_text(encoding="utf-8")).split())
    facts = load_tensors(folder / "checkpoints" / "teacher.safetensors").facts
    section = page.partition('id="teacher"')[2].partition("<section")[0]
    for name, loss in facts["losses"].items():
        row = section.partition(f">{name}<")[2].partition("</tr>")[0]
        assert f"{loss:.3f}" in row and (">yes<" in row) == (name in facts["members"])
    assert f"temperature {facts['temperature']:.3f}" in section and f"{facts['loss']:.3f}" in section


def test_report_says_how_many_rows_the_teacher_is_sure_of(values, tmp_path):
    values["training"]["confidence"] = 0.75
    runs.start_run(parse_config(values), tmp_path / "run")
    labels = load_tensors(tmp_path / "run" / "checkpoints" / "teacher.safetensors").tensors["labels"]
    used = int((labels.amax(dim=1) >= 0.75).sum())
    page = " ".join(unescape(report_run(tmp_path / "run").read_text(encoding="utf-8")).split())
    assert f"at least 0.75, which are used: {used}." in page and 0 < used < len(labels)


def test_report_of_a_run_without_a_teacher_has_no_such_section(values, tmp_path):
    del values["training"]["semi"], values["data"]["unlabelled"]
    runs.start_run(parse_config(values), tmp_path / "run")
    assert 'id="teacher"' not in report_run(tmp_path / "run").read_text(encoding="utf-8")


def test_a_teacher_with_a_damaged_fact_is_refused(values, tmp_path):
    _, data, network = built(values)
    with_soft_labels(network, data, data.splits["train"], seed=0, folder=tmp_path)
    stored = load_tensors(tmp_path / "teacher.safetensors")
    save_tensors(tmp_path / "teacher.safetensors", stored.tensors, {**stored.facts, "temperature": "warm"})
    with pytest.raises(RunError, match="facts.temperature.*warm"):
        read_teacher(tmp_path)


# Estimators


def test_student_passes_a_model_of_the_labels_alone():
    X, U, test = texts(24, 0, 0.7), texts(600, 1, 0.7), texts(400, 2, 0.7)
    settings = {**MODEL, "max_epochs": 6, "lr": 5e-3, "validation_fraction": None, "device": "cpu"}
    alone = ostinato.SequenceClassifier(**settings).fit(X, [0, 1] * 12)
    student = ostinato.SequenceClassifier(**settings, semi="self-training").fit(X, [0, 1] * 12, unlabelled=U)
    assert student.score(test, [0, 1] * 200) > alone.score(test, [0, 1] * 200) + 0.05


def test_multilabel_student_learns_from_soft_label_sets():
    X, U = texts(40, 0), texts(600, 1)
    y = [["good"] if row % 2 else [] for row in range(40)]
    settings = {**MODEL, "max_epochs": 6, "lr": 5e-3, "validation_fraction": None, "device": "cpu"}
    student = ostinato.SequenceMultilabelClassifier(**settings, semi="self-training").fit(X, y, unlabelled=U)
    assert student.score(texts(200, 2), [["good"] if row % 2 else [] for row in range(200)]) > 0.85
    assert Multilabel().name == student.task.name


def test_fit_refuses_rows_without_the_setting_and_the_setting_without_rows():
    X, y = texts(20, 0), [0, 1] * 10
    with pytest.raises(ConfigError, match="semi is None"):
        ostinato.SequenceClassifier(validation_fraction=None).fit(X, y, unlabelled=texts(30, 1))
    with pytest.raises(ConfigError, match="unlabelled="):
        ostinato.SequenceClassifier(semi="self-training").fit(X, y)


def test_rows_validated_on_are_left_out_in_fit(monkeypatch):
    X, validation, U = texts(20, 0), texts(10, 1), texts(40, 2)
    used = []

    def noting(records, splits, tokenizer):
        found = select_unlabelled(records, splits, tokenizer)
        used.extend(found[0].sequences)
        return found

    monkeypatch.setattr("ostinato.tasks.sequences.estimator.select_unlabelled", noting)
    model = ostinato.SequenceClassifier(**MODEL, semi="self-training", max_epochs=1, device="cpu")
    model.fit(X, [0, 1] * 10, validation_data=(validation, [0, 1] * 5), unlabelled=[*U, *validation])
    assert used == U


def test_a_named_data_set_gives_rows_without_labels(values, tmp_path):
    rng = np.random.default_rng(0)
    rows = ["".join(rng.choice(["0", "1"], 12)) for _ in range(60)]
    write(tmp_path / "bits.csv", rows, ["no", "yes"] * 30)
    values["data"] = {"path": str(tmp_path / "bits.csv"), "unlabelled": "majority", "tokenizer": "characters"}
    found = Classification().prepare(parse_config(values).data).unlabelled
    assert len(found) > 1000
    assert {len(row) for row in found.sequences} == {20}
    values["data"]["unlabelled"] = "majorty"
    with pytest.raises(ConfigError, match="majority"):
        Classification().prepare(parse_config(values).data)


def test_a_named_data_set_does_not_leak_its_test_rows(values):
    values["data"] = {"name": "majority", "unlabelled": "majority", "length": 20, "seed": 1}
    with pytest.raises(DataError, match="also in validation or test|of them new"):
        Classification().prepare(parse_config(values).data)


# A run as teacher


def test_a_run_is_the_teacher_with_the_probabilities_that_it_predicts(values, tmp_path):
    first = {**values, "data": {"path": values["data"]["path"]}, "training": {"max_epochs": 2, "device": "cpu"}}
    runs.start_run(parse_config(first), tmp_path / "first")
    values["training"]["teacher"] = str(tmp_path / "first")
    metrics = runs.start_run(parse_config(values), tmp_path / "second")
    stored = load_tensors(tmp_path / "second" / "checkpoints" / "teacher.safetensors")
    data = Classification().prepare(parse_config(values).data)
    teacher = ostinato.load(tmp_path / "first")
    expected = teacher.predict_proba(data.unlabelled.sequences)
    assert stored.tensors["labels"].numpy() == pytest.approx(expected, abs=1e-6)
    assert stored.facts["run"] == str(tmp_path / "first")
    targets = [data.codec.labels.index(each) for each in data.rows["validation"].targets]
    proba = teacher.predict_proba(data.rows["validation"].sequences)
    assert stored.facts["loss"] == pytest.approx(-np.log(proba[range(len(targets)), targets]).mean(), rel=1e-4)
    assert metrics["test"]["accuracy"] > 0.5
    assert "The network learned from these rows" in report_run(tmp_path / "second").read_text(encoding="utf-8")


def test_a_teacher_that_has_seen_rows_to_score_or_has_other_labels_is_refused(values, tmp_path):
    first = {**values, "data": {"path": values["data"]["path"]}, "training": {"max_epochs": 1, "device": "cpu"}}
    first["data"]["seed"] = 1
    runs.start_run(parse_config(first), tmp_path / "other-splits")
    rows = Path(values["data"]["path"]).read_text(encoding="utf-8").replace(",no", ",never")
    (tmp_path / "renamed.csv").write_text(rows, encoding="utf-8")
    first["data"] = {"path": str(tmp_path / "renamed.csv")}
    runs.start_run(parse_config(first), tmp_path / "other-labels")
    for name, match in (("other-splits", "has seen"), ("other-labels", "never")):
        values["training"]["teacher"] = str(tmp_path / name)
        with pytest.raises(ConfigError, match=match):
            runs.start_run(parse_config(values), tmp_path / f"student-{name}")


def test_a_teacher_whose_rows_are_unknown_is_refused(values, tmp_path):
    first = {**values, "data": {"path": values["data"]["path"]}, "training": {"max_epochs": 1, "device": "cpu"}}
    runs.start_run(parse_config(first), tmp_path / "first")
    values["training"]["teacher"] = str(tmp_path / "first" / "model.safetensors")
    with pytest.raises(ConfigError, match="does not say which rows"):
        runs.start_run(parse_config(values), tmp_path / "second")


def test_a_teacher_without_unlabelled_rows_is_refused(values):
    values["training"] = {"teacher": "first"}
    del values["data"]["unlabelled"]
    with pytest.raises(ConfigError, match="teacher first"):
        parse_config(values)
