"""Models that start from a pre-training: vocabulary, vectors and layers are its own, and nothing scored was read."""

import csv
import re
import shutil

import numpy as np
import pytest
import torch
from tiny_pretraining import ENTROPY, SMALL, letters, words
from typer.testing import CliRunner

import ostinato
from ostinato import runs
from ostinato.cli import app
from ostinato.config import to_toml
from ostinato.data.examples import Sentence
from ostinato.errors import ConfigError, RunError
from ostinato.nn import Layout
from ostinato.pretraining.config import parse_config as parse_pretraining
from ostinato.pretraining.config import read_own_config
from ostinato.pretraining.report import language_model
from ostinato.pretraining.run import start_pretraining
from ostinato.tasks import TASKS
from ostinato.tasks.config import override, parse_config, read_config
from ostinato.training.optimizer import make_optimizer, set_learning_rate
from ostinato.training.pretrained import read_pretrained

TEXTS = words(120)
FROZEN = {"max_epochs": 1, "lr": 1e-30, "weight_decay": 0.0, "validation_fraction": None, "device": "cpu"}
TARGETS = {
    ostinato.SequenceClassifier: lambda text: "cat" if "cat" in text else "other",
    ostinato.SequenceMultilabelClassifier: lambda text: [word for word in ("cat", "old") if word in text],
    ostinato.SequenceRegressor: lambda text: float(text.split()[-1]),
}


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    """A pre-training on words, with two layers."""
    folder = tmp_path_factory.mktemp("encoder") / "words"
    ostinato.pretrain(TEXTS, folder, **{**SMALL, "tokenizer": "words", "num_layers": 2})
    return folder


def table(path, texts):
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["text", "label"])
        rows.writerows([text, TARGETS[ostinato.SequenceClassifier](text.lower())] for text in texts)
    return path


def config_for(path, encoder, *settings):
    values = {"data": {"path": str(path)}, "model": {"init": str(encoder)}, "training": {"max_epochs": 1}}
    return override(parse_config(values), settings)


def pretrained_states(encoder, text):
    pretrained = read_pretrained(encoder)
    model = language_model(read_own_config(encoder), pretrained)
    encoded = pretrained.encoder.encode([text])
    return model.states(encoded.values, Layout(encoded.lengths))


@pytest.mark.parametrize("estimator", TARGETS)
def test_the_states_are_those_of_the_pretraining_to_the_last_bit(encoder, estimator):
    texts = [*TEXTS[:30], "the new cat naps 5", "a new dog runs 7"]  # "new" is unknown to the pre-training
    model = estimator(init=str(encoder), **FROZEN).fit(texts, [TARGETS[estimator](text) for text in texts])
    assert "new" in model.encoder_.vocabulary.ids
    assert model.model_.has_trained_unknown
    for text in ("the old cat eats", "the new cat naps", "zebra cat"):
        encoded = model.encoder_.encode([text])
        with torch.no_grad():
            states, _ = model.model_.states(encoded.values, Layout(encoded.lengths))
        assert torch.equal(states, pretrained_states(encoder, text))


def test_a_tagger_takes_the_layers_over_and_adds_its_own_inputs(encoder):
    sentences = [text.split() for text in TEXTS[:30]]
    tags = [["N" if word in ("cat", "dog", "fox") else "O" for word in sentence] for sentence in sentences]
    options = {"init": str(encoder), "head": "softmax", "character_cell": None, **FROZEN}
    plain = ostinato.SequenceTagger(word_shape_size=None, **options).fit(sentences, tags)
    assert plain.fitted_.config.data.lowercase
    encoded = plain.encoder_.encode([Sentence(["The", "old", "cat"], None, "a")])
    layout = Layout(encoded.lengths)
    with torch.no_grad():
        states = plain.model_.stack(plain.model_.vectors(encoded), layout)
    assert torch.equal(states, pretrained_states(encoder, "the old cat"))
    shaped = ostinato.SequenceTagger(word_shape_size=3, **options)
    weight = shaped.fit(sentences, tags).model_.stack.layers[0].weight_ih_l0
    assert torch.equal(weight[:, :8], read_pretrained(encoder).weights["stack.layers.0.weight_ih_l0"])
    assert weight[:, 8:].any()


def test_series_keep_the_scale_of_the_pretraining(tmp_path):
    rng = np.random.default_rng(0)
    series = [rng.standard_normal((12, 2)) * 5 + 3 for _ in range(40)]
    ostinato.pretrain(series, tmp_path, **{**SMALL, "tokenizer": None})
    few = [each * 0.1 for each in series[:10]]
    model = ostinato.SequenceClassifier(init=str(tmp_path), **FROZEN).fit(few, ["a", "b"] * 5)
    assert model.encoder_.std == read_pretrained(tmp_path).encoder.std
    with pytest.raises(ConfigError, match="1 channels.*2"):
        ostinato.SequenceClassifier(init=str(tmp_path), **FROZEN).fit([each[:, :1] for each in few], ["a", "b"] * 5)


def test_a_finished_model_needs_the_pretraining_no_more(encoder, tmp_path):
    copy = tmp_path / "encoder"
    shutil.copytree(encoder, copy)
    path = table(tmp_path / "rows.csv", words(60, seed=5))
    run = tmp_path / "run"
    runs.start_run(config_for(path, copy), run)
    assert "Training starts from" in (run / "training.log").read_text(encoding="utf-8")
    before = ostinato.load(run).predict_proba(["the old cat eats 12"])
    shutil.rmtree(copy)
    assert np.array_equal(ostinato.load(run).predict_proba(["the old cat eats 12"]), before)
    assert runs.evaluate_run(ostinato.load(run).fitted_, run).n > 0


def test_a_run_that_starts_from_a_pretraining_resumes_bit_for_bit(encoder, tmp_path):
    path = table(tmp_path / "rows.csv", words(60, seed=5))
    config = config_for(path, encoder, "training.max_epochs=3", "training.patience=none")
    runs.start_run(config, tmp_path / "whole")
    left = [2]

    def stop_in_the_middle():
        left[0] -= 1
        return left[0] == 0

    task = TASKS[config.task]
    data = task.prepare_for(config)
    config = task.settle(config, data)
    runs.create_run(config, tmp_path / "resumed")
    identity = runs.training.identity_of(tmp_path / "resumed", config, data)
    (tmp_path / "resumed" / "checkpoints").mkdir()
    with pytest.raises(KeyboardInterrupt):
        task.fit(
            config,
            data,
            folder=tmp_path / "resumed" / "checkpoints",
            identity=identity,
            stop_requested=stop_in_the_middle,
        )
    runs.resume_run(tmp_path / "resumed")
    whole, resumed = (ostinato.load(tmp_path / name).model_.state_dict() for name in ("whole", "resumed"))
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_keys_that_are_left_out_are_taken_over(encoder, tmp_path):
    config = config_for(table(tmp_path / "rows.csv", TEXTS), encoder)
    assert (config.model.hidden_size, config.model.num_layers, config.model.bidirectional) == (12, 2, True)
    assert config.data.tokenizer == "words"
    assert "hidden_size = 12" in to_toml(config)


@pytest.mark.parametrize(
    ("setting", "match"),
    [
        ("model.hidden_size=64", "model.hidden_size: 64.*12"),
        ("model.cell=gru", "model.cell: gru.*lstm"),
        ("model.cell=mingru", "model.cell: mingru.*lstm"),
        ("model.bidirectional=false", "model.bidirectional: False.*True"),
        ("data.tokenizer=characters", "data.tokenizer: characters.*words"),
        ("model.conv_size=8", "model.conv_size: 8"),
        ("model.init=nowhere", "nowhere"),
    ],
)
def test_contradictions_name_both_values(encoder, tmp_path, setting, match):
    values = {"data": {"path": str(table(tmp_path / "rows.csv", TEXTS))}}
    with pytest.raises(ConfigError, match=match):
        override(parse_config(values), [f"model.init={encoder}", setting])


def test_a_key_set_to_its_default_in_the_config_contradicts_a_set_init(encoder, tmp_path):
    data, setting = {"path": str(table(tmp_path / "rows.csv", TEXTS))}, f"model.init={encoder}"
    assert override(parse_config({"data": data}), [setting]).model.hidden_size == 12  # left out
    with pytest.raises(ConfigError, match="model.hidden_size: 64.*12"):
        override(parse_config({"data": data, "model": {"hidden_size": 64}}), [setting])


def test_a_config_of_init_starts_from_an_encoder_of_other_sizes(encoder, tmp_path):
    path = table(tmp_path / "rows.csv", TEXTS)
    printed = CliRunner().invoke(app, ["init", str(path)])
    assert printed.exit_code == 0 and "# hidden_size = 64" in printed.stdout
    (tmp_path / "config.toml").write_text(printed.stdout, encoding="utf-8")
    config = override(read_config(tmp_path / "config.toml"), [f"model.init={encoder}"])
    assert config.model.hidden_size == 12 and config.data.path == str(path)


def test_every_contradiction_of_an_estimator_is_named_at_once(encoder):
    with pytest.raises(ConfigError, match=r"(?s)model.cell: gru.*model.hidden_size: 7"):
        ostinato.SequenceClassifier(init=str(encoder), cell="gru", hidden_size=7).fit(TEXTS, ["a", "b"] * 60)


def test_a_folder_that_is_no_pretraining_is_refused(encoder, tmp_path):
    path = table(tmp_path / "rows.csv", TEXTS)
    runs.start_run(parse_config({"data": {"path": str(path)}, "training": {"max_epochs": 1}}), tmp_path / "run")
    with pytest.raises(ConfigError, match="run of task 'classification'"):
        config_for(path, tmp_path / "run")
    unfinished = tmp_path / "unfinished"
    shutil.copytree(encoder, unfinished)
    (unfinished / "metrics.json").unlink()
    with pytest.raises(ConfigError, match=f"pretrain --resume {re.escape(str(unfinished))}"):
        config_for(path, unfinished)
    with pytest.raises(RunError, match="encoder"):
        ostinato.load(encoder)


def test_tokens_without_overlap_are_refused(encoder):
    with pytest.raises(ConfigError, match="none of the task's 2 tokens"):
        ostinato.SequenceClassifier(init=str(encoder), **FROZEN).fit(["xx", "yy"] * 4, ["a", "b"] * 4)


def test_a_pretraining_that_read_scored_rows_is_refused_and_one_without_them_is_not(tmp_path):
    path = table(tmp_path / "rows.csv", [text.upper() for text in TEXTS])  # `words` reads them alike
    (tmp_path / "raw.txt").write_text("\n".join(TEXTS), encoding="utf-8")
    values = {"data": {"path": str(tmp_path / "raw.txt")}, "training": {"max_epochs": 1}}
    values["model"] = {"embedding_size": 4, "hidden_size": 4}
    start_pretraining(parse_pretraining(values), tmp_path / "leaky")
    task = TASKS["classification"]
    with pytest.raises(ConfigError, match=r"validation rows and .*test rows"):
        task.prepare_for(config_for(path, tmp_path / "leaky"))
    own = tmp_path / "task.toml"
    own.write_text(to_toml(parse_config({"data": {"path": str(path)}})), encoding="utf-8")
    values["data"]["exclude"] = str(own)
    start_pretraining(parse_pretraining(values), tmp_path / "clean")
    data = task.prepare_for(config_for(path, tmp_path / "clean"))
    scored = {text.lower() for split in ("validation", "test") for text in data.rows[split].sequences}
    log = (tmp_path / "clean" / "training.log").read_text(encoding="utf-8")
    assert f"validation or test rows of {own}: {len(scored)}" in log


def test_a_tagger_s_sentences_are_found_in_texts_that_were_read(encoder, tmp_path):
    blocks = ["\n".join(f"{word} {word[0].upper()}" for word in text.title().split()) for text in TEXTS]
    (tmp_path / "a.conll").write_text("\n\n".join(blocks), encoding="utf-8")
    values = {"task": "tagging", "data": {"path": str(tmp_path / "a.conll")}, "model": {"init": str(encoder)}}
    with pytest.raises(ConfigError, match="test rows"):
        TASKS["tagging"].prepare_for(parse_config(values))


def test_a_damaged_pretraining_is_named(encoder, tmp_path):
    copy = tmp_path / "encoder"
    shutil.copytree(encoder, copy)
    path = table(tmp_path / "rows.csv", TEXTS)
    (copy / "model.safetensors").write_bytes((copy / "model.safetensors").read_bytes()[:-9])
    with pytest.raises(RunError, match="model.safetensors: truncated"):
        TASKS["classification"].prepare_for(config_for(path, copy))
    (copy / "config.toml").write_text('task = "pretraining"\n', encoding="utf-8")
    with pytest.raises(ConfigError, match="incomplete"):
        config_for(path, copy)


def test_layers_train_at_lower_rates_and_later_the_deeper_they_are(encoder):
    model = ostinato.SequenceClassifier(init=str(encoder), **FROZEN).fit(TEXTS, ["a", "b"] * 60)
    network, config = model.model_, model.fitted_.config.training
    config = config.model_copy(
        update={"lr": 1.0, "init_lr_ratio": 0.1, "init_freeze": 0.3, "schedule": "constant", "warmup_ratio": 0.0}
    )
    optimizer = make_optimizer(network, config)

    def rates(progress):
        set_learning_rate(optimizer, config, progress)
        of = {id(each): group["lr"] for group in optimizer.param_groups for each in group["params"]}
        parts = (network.head.weight, network.stack.layers[1].weight_hh_l0, network.stack.layers[0].weight_hh_l0)
        return [of[id(part)] for part in (*parts, network.embed.weight)]

    assert rates(0.05) == [1.0, 0.0, 0.0, 0.0]
    assert rates(0.15) == pytest.approx([1.0, 0.1, 0.0, 0.0])
    assert rates(0.25) == pytest.approx([1.0, 0.1, 0.01, 0.0])
    assert rates(0.9) == pytest.approx([1.0, 0.1, 0.01, 0.001])


def test_a_pretraining_continues_another_with_what_it_has_learnt(tmp_path):
    ostinato.pretrain(letters(250), tmp_path / "first", **{**SMALL, "max_epochs": 6})
    untrained = {"max_epochs": 1, "max_tokens": 256, "lr": 1e-9, "device": "cpu"}
    more = [*letters(100, seed=7), "add", "bdd", "cdd", "ddd"]
    found = ostinato.pretrain(more, tmp_path / "second", init=str(tmp_path / "first"), validation_size=20, **untrained)
    assert found["validation"]["loss"] < ENTROPY + 0.1
    tokens = read_pretrained(tmp_path / "second").encoder.vocabulary.tokens
    assert tokens == (*read_pretrained(tmp_path / "first").encoder.vocabulary.tokens, "d")


def test_letters_of_another_source_start_from_its_vectors(tmp_path):
    ostinato.pretrain(letters(60), tmp_path, **SMALL)
    model = ostinato.SequenceClassifier(init=str(tmp_path), **FROZEN).fit(["abd", "cba"] * 4, ["x", "y"] * 4)
    table = model.model_.embed.weight
    ids = model.encoder_.vocabulary.ids
    assert torch.equal(table[ids["d"]], table[0])
    assert not torch.equal(table[ids["a"]], table[0])
