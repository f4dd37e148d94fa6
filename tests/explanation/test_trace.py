"""Traces against hand-written loops, the reference engine and the predictions for each prefix."""

import io
import json
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from plain import PLAIN
from rich.console import Console

import ostinato
from ostinato import SequenceClassifier, SequenceTagger, trace
from ostinato.errors import ConfigError, DataError, MissingExtraError, NotFittedError
from ostinato.explanation.markup import AGAINST, FOR
from ostinato.explanation.plot_trace import plot_trace
from ostinato.explanation.trace import LayerTrace, Trace
from ostinato.explanation.trace_text import trace_lines
from ostinato.nn import use_engine

SEQUENCE = "ACGTTGCAAATT"
SHAPES = {
    "lstm, one direction": {"cell": "lstm", "pooling": "last"},
    "lstm, both": {"cell": "lstm", "bidirectional": True, "num_layers": 2, "pooling": ["last", "mean"]},
    "gru, both": {
        "cell": "gru",
        "bidirectional": True,
        "num_layers": 3,
        "residual": True,
        "layer_norm": True,
        "pooling": ["attention", "max"],
    },
    "gru with positions": {"cell": "gru", "num_layers": 2, "position": "sinusoidal", "pooling": "mean"},
    "rnn": {"cell": "rnn", "position": "learned", "pooling": "last"},
}


@pytest.fixture(scope="module")
def models():
    """A few epochs of each shape, so that the answers of prefixes differ."""
    rng = np.random.default_rng(0)
    texts = ["".join(rng.choice(list("ACGT"), size=size)) for size in rng.integers(5, 30, size=60)]
    labels = ["many" if text.count("A") * 4 > len(text) else "few" for text in texts]
    sizes = {
        "embedding_size": 4,
        "hidden_size": 5,
        "tokenizer": "nucleotides",
        "max_epochs": 3,
        "lr": 0.02,
        "validation_fraction": 0.2,
    }
    return {
        name: SequenceClassifier(**{**PLAIN, **sizes, **shape}).fit(texts, labels) for name, shape in SHAPES.items()
    }


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def lstm_by_hand(x, w_ih, w_hh, b_ih, b_hh):
    """The states and gates of a direction, step by step, in the order that it reads."""
    h = c = np.zeros(w_hh.shape[1])
    for x_t in x:
        i, f, g, o = np.split(w_ih @ x_t + b_ih + w_hh @ h + b_hh, 4)
        i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
        c = f * c + i * g
        h = o * np.tanh(c)
        yield h, {"i": i, "f": f, "g": g, "o": o}


def gru_by_hand(x, w_ih, w_hh, b_ih, b_hh):
    h = np.zeros(w_hh.shape[1])
    for x_t in x:
        (x_r, x_z, x_n), (h_r, h_z, h_n) = np.split(w_ih @ x_t + b_ih, 3), np.split(w_hh @ h + b_hh, 3)
        r, z = sigmoid(x_r + h_r), sigmoid(x_z + h_z)
        n = np.tanh(x_n + r * h_n)
        h = (1 - z) * n + z * h
        yield h, {"r": r, "z": z, "n": n}


def rnn_by_hand(x, w_ih, w_hh, b_ih, b_hh):
    h = np.zeros(w_hh.shape[1])
    for x_t in x:
        h = np.tanh(w_ih @ x_t + b_ih + w_hh @ h + b_hh)
        yield h, {}


def normalized(values, norm):
    values = (values - values.mean(1, keepdims=True)) / np.sqrt(values.var(1, keepdims=True) + norm.eps)
    return values * norm.weight.detach().numpy() + norm.bias.detach().numpy()


def positions(model, T):
    """What the position embedding adds: rows of its table, or sines and cosines in turn."""
    if model.position is None:
        return 0
    if model.position.learned:
        return model.position.table.detach().double().numpy()[:T]
    angles = np.arange(T)[:, None] / 10_000 ** (np.arange(0, 4, 2) / 4)
    return np.stack([np.sin(angles), np.cos(angles)], axis=2).reshape(T, 4)


@pytest.mark.parametrize("shape", SHAPES)
def test_states_and_gates_equal_a_hand_written_loop(models, shape):
    model, found = models[shape].model_, trace(models[shape], SEQUENCE).layers
    by_hand = {"lstm": lstm_by_hand, "gru": gru_by_hand, "rnn": rnn_by_hand}[SHAPES[shape]["cell"]]
    ids = models[shape].encoder_.encode([SEQUENCE]).values.long()
    x = model.embed.weight.detach().double().numpy()[ids] + positions(model, len(SEQUENCE))
    for depth, (layer, norm) in enumerate(zip(model.stack.layers, model.stack.norms, strict=True)):
        sides = []
        for weights, order in zip(layer.directions(), (1, -1), strict=False):
            each = found.pop(0)
            steps = list(by_hand(x[::order], *(weight.detach().double().numpy() for weight in weights)))[::order]
            sides.append(np.stack([h for h, _ in steps]))
            assert each.name == f"layer {depth + 1}, {'forwards' if order == 1 else 'backwards'}"
            np.testing.assert_allclose(each.hidden, sides[-1], atol=1e-5)
            assert list(each.gates) == list(steps[0][1])
            for name, gate in each.gates.items():
                np.testing.assert_allclose(gate, [gates[name] for _, gates in steps], atol=1e-5)
        h = np.concatenate(sides, axis=1)
        h = h + x if SHAPES[shape].get("residual") and depth > 0 else h
        x = normalized(h, norm) if SHAPES[shape].get("layer_norm") else h
    assert found == []


@pytest.mark.parametrize("engine", ["torch", "native"])
@pytest.mark.parametrize("shape", SHAPES)
def test_every_engine_gives_the_reference_engines_trace(models, shape, engine):
    if engine == "native" and not ostinato.nn.kernel.is_built():
        pytest.skip("the native engine was not built")
    with use_engine("reference"):
        expected = trace(models[shape], SEQUENCE)
    with use_engine(engine):
        found = trace(models[shape], SEQUENCE)
    np.testing.assert_allclose(found.running, expected.running, atol=1e-5)
    for one, other in zip(found.layers, expected.layers, strict=True):
        np.testing.assert_allclose(one.hidden, other.hidden, atol=1e-5)
        for name, gate in one.gates.items():
            np.testing.assert_allclose(gate, other.gates[name], atol=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_running_answer_is_the_answer_for_the_prefix(models, shape):
    found = trace(models[shape], SEQUENCE)
    assert found.steps.tolist() == list(range(len(SEQUENCE)))
    prefixes = [SEQUENCE[: step + 1] for step in found.steps]
    np.testing.assert_allclose(found.running, models[shape].predict_proba(prefixes), atol=1e-6)
    assert [found.labels[index] for index in found.chosen] == models[shape].predict(prefixes).tolist()
    assert found.label == models[shape].predict([SEQUENCE])[0]
    assert np.ptp(found.running[:, 0]) > 0.01  # else any order of the prefixes would pass


def hand_made(answers, *, steps=None, tokens=None, hidden=None):
    """A trace of a layer without gates whose running answer is as given."""
    tokens = tokens or [f"word{step}" for step in range(len(answers))]
    running = np.array([[0.75, 0.25] if answer == "no" else [0.25, 0.75] for answer in answers])
    hidden = np.zeros((len(tokens), 2)) if hidden is None else hidden
    offsets = [(step, step + 1) for step in range(len(tokens))]
    return Trace(
        " ".join(tokens),
        tokens,
        offsets,
        [LayerTrace(1, False, hidden, {})],
        ["no", "yes"],
        np.array(steps or range(len(answers))),
        running,
        running.argmax(axis=1),
    )


@pytest.mark.parametrize(
    ("answers", "decided"),
    [
        (["yes"], 0),
        (["yes", "yes"], 0),
        (["no", "yes"], 1),
        (["yes", "no", "yes", "yes"], 2),
        (["yes", "yes", "no"], 2),
    ],
)
def test_it_decided_where_the_answer_stays(answers, decided):
    found = hand_made(answers)
    assert found.decided == decided and found.label == answers[-1]
    said = (f"at step {decided + 1} of {len(answers)}", f"'word{decided}'", f"'{answers[-1]}'")
    assert all(part in found.decision for part in said)


def test_nothing_is_claimed_between_the_tested_steps():
    found = hand_made(["no", "yes", "yes"], steps=[0, 3, 6], tokens=list("abcdefg"))
    assert found.decided == 3
    assert all(part in found.decision for part in ("by step 4 of 7 ('d')", "'yes'", "3 steps"))


def test_a_predicted_number_is_followed_without_a_decision():
    found = replace(hand_made(["no", "yes", "yes"]), labels=["price"], quantity="prediction")
    found = replace(found, running=np.array([[10.0], [2500.5], [-3.25]]), chosen=np.zeros(3, int))
    assert found.decided is None and found.label == "price"
    assert all(part in found.decision for part in ("price", "10", "-3.25"))
    lines = trace_lines(found).plain.split("\n")
    assert lines[1].split()[:3] == ["step", "token", "price"]
    assert [line.split()[2] for line in lines[2:5]] == ["10", "2500", "-3.25"]
    plot_trace(found).draw_without_rendering()
    assert json.loads(json.dumps(found.to_json()))["decided"] is None


def test_a_long_sequence_has_256_running_answers(models):
    model, sequence = models["gru, both"], "ACGTT" * 1000
    found = trace(model, sequence)
    assert len(found.steps) == 256 and found.steps[0] == 0 and found.steps[-1] == 4999
    assert set(np.diff(found.steps)) == {19, 20}  # 4999 / 255 = 19.6
    assert all(each.hidden.shape == (5000, 5) for each in found.layers)
    chosen = [0, 100, 255]
    np.testing.assert_allclose(
        found.running[chosen], model.predict_proba([sequence[: found.steps[place] + 1] for place in chosen]), atol=1e-5
    )
    assert len(trace_lines(found).plain.split("\n")) == 1 + 1 + 5000 + 1  # legend, heading, steps, decision


def test_the_number_of_prefixes_can_be_lowered(models):
    assert trace(models["rnn"], SEQUENCE, prefixes=2).steps.tolist() == [0, 11]
    with pytest.raises(ConfigError, match="prefixes 1"):
        trace(models["rnn"], SEQUENCE, prefixes=1)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("sequence", ["A", "???"])
def test_one_token_and_unknown_tokens_alone_are_traced(models, shape, sequence):
    found = trace(models[shape], sequence)
    assert found.tokens == list(sequence) and len(found.running) == len(sequence)
    assert f"of {len(sequence)} ({sequence[0]!r})" in trace_lines(found).plain
    plot_trace(found).draw_without_rendering()


def test_a_series_is_traced_as_the_model_reads_it():
    rng = np.random.default_rng(0)
    series = [rng.normal(size=(6, 2)) for _ in range(40)]
    sizes = {"cell": "gru", "hidden_size": 4, "embedding_size": 4, "max_epochs": 1, "validation_fraction": None}
    model = SequenceClassifier(**{**PLAIN, **sizes, "max_length": 4, "truncate": "tail"})
    model.fit(series, [int(each[:, 0].sum() > 0) for each in series])
    found = trace(model, series[0])
    assert found.tokens == [f"{a:g} {b:g}" for a, b in series[0][2:]]
    np.testing.assert_allclose(
        found.running, model.predict_proba([series[0][2 : 3 + step] for step in range(4)]), atol=1e-6
    )
    assert found.sequence is series[0]


def test_the_model_is_left_as_it_was(models):
    model = models["lstm, both"].model_
    model.train()
    trace(models["lstm, both"], SEQUENCE)
    assert model.training and all(parameter.requires_grad for parameter in model.parameters())
    model.eval()


def test_dropout_does_not_act(models):
    model = SequenceClassifier(hidden_size=4, dropout=0.9, max_epochs=1, validation_fraction=None).fit(
        ["a b", "b a"], [0, 1]
    )
    model.model_.train()
    first, second = (trace(model, "a b a") for _ in range(2))
    assert np.array_equal(first.layers[0].hidden, second.layers[0].hidden) and np.array_equal(
        first.running, second.running
    )


def test_a_trace_as_json_has_four_digits_and_the_means_of_each_step(models):
    found = trace(models["lstm, both"], SEQUENCE)
    read = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert read["tokens"] == list(SEQUENCE) and read["decided"] == found.decided and read["labels"] == ["few", "many"]
    for layer, each in zip(read["layers"], found.layers, strict=True):
        np.testing.assert_allclose(layer["hidden"], each.hidden, rtol=5e-4)
        np.testing.assert_allclose(layer["means"]["|h|"], np.abs(each.hidden).mean(1), rtol=5e-4)
        np.testing.assert_allclose(layer["means"]["f"], each.gates["f"].mean(1), rtol=5e-4)
        np.testing.assert_allclose(layer["gates"]["f"], each.gates["f"], rtol=5e-4)
    assert (
        max(
            len(repr(number).lstrip("-0.").replace(".", "").split("e")[0])
            for step in read["layers"][0]["hidden"]
            for number in step
        )
        == 4
    )


def test_a_line_tells_step_token_probability_answer_and_state():
    hidden = np.array([[1.0, -1.0], [0.5, -0.25], [0.0, 0.1]])
    lines = trace_lines(hand_made(["no", "yes", "yes"], hidden=hidden)).plain.split("\n")
    assert lines[0].startswith("Layer 1: h has 2 units a direction, shown as 2 cells, each one unit")
    assert lines[1].split() == ["step", "token", "P(yes)", "answer", "h…"]
    assert [line.split() for line in lines[2:5]] == [
        ["1", "word0", "█▎", "0.25", "no", "#="],
        ["2", "word1", "███▊", "0.75", "yes", "+·"],  # −0.25 in tenths is −0.2
        ["3", "word2", "███▊", "0.75", "yes", "··"],
    ]
    assert lines[5].startswith("Decided at step 2 of 3")


def test_colours_tell_the_final_answer_from_others_and_the_states_sign():
    text = trace_lines(hand_made(["no", "yes"], hidden=np.array([[1.0, -1.0], [0.5, 0.0]])))
    no, yes = text.split("\n")[2:4]
    styles = [
        [(line.plain[span.start : span.end].strip(), str(span.style)) for span in line.spans if span.style]
        for line in (no, yes)
    ]
    assert styles[0] == [
        ("█▎    0.25", AGAINST),
        ("no", AGAINST),
        ("#", f"black on {FOR}"),
        ("=", f"black on {AGAINST}"),
    ]
    assert styles[1] == [
        ("███▊  0.75", FOR),
        ("yes", FOR),
        ("+", "black on #f2b080"),
        ("·", "black on #ffffff"),
    ]  # #f2b080: halfway to white


def test_many_units_are_averaged_in_groups():
    hidden = np.tile(np.repeat([1.0, -1.0], 35), (2, 1))
    lines = trace_lines(hand_made(["no", "no"], hidden=hidden)).plain.split("\n")
    assert "70 units a direction, shown as 32 cells, each the mean of 2 or 3" in lines[0]
    # 6 groups of 3, then 26 of 2: the first 14 hold 34 units above 0, the next one of each sign
    assert lines[2].split()[-1] == "#" * 14 + "·" + "=" * 17


def test_gates_are_told_as_their_means():
    layer = LayerTrace(
        1,
        True,
        np.zeros((1, 2)),
        {"z": np.array([[0.25, 0.75]]), "n": np.array([[-0.5, -0.001]]), "r": np.array([[1.0, 1.0]])},
    )
    read = Trace("a", ["a"], [(0, 1)], [layer], ["no"], np.array([0]), np.array([[1.0]]), np.array([0]))
    heading, line = trace_lines(read).plain.split("\n")[1:3]
    assert heading.split()[4:7] == ["z", "n", "r"]
    assert line.split() == ["1", "a", "█████", "1.00", "no", ".50", "-.25", "1.00", "··"]


def test_lines_fit_the_width(models):
    for width in (80, 100, 140):
        lines = trace_lines(trace(models["gru, both"], SEQUENCE), width=width).split("\n")[1:]
        assert all(line.cell_len <= width for line in lines)


def test_tokens_are_shown_literally_in_the_terminal():
    tokens = ["[red]", "\x1b[31m", "a\tb", "\u202eabc", "日本"]
    console = Console(record=True, width=200, force_terminal=True, color_system="truecolor", file=io.StringIO())
    console.print(trace_lines(hand_made(["no"] * 5, tokens=tokens)))
    shown = console.export_text(styles=False, clear=False)
    assert all(token in shown for token in ("[red]", r"\x1b[31m", r"a\tb", r"\u202eabc", "日本 "))
    assert "\u202e" not in shown and "\x1b[31m" not in console.export_text(styles=True)


def test_the_plot_shows_probabilities_states_and_gates(models):
    found = trace(models["gru, both"], SEQUENCE)
    axes = plot_trace(found).axes
    running, maps = axes[0], [each for each in axes if each.images]
    for line, label in zip(running.lines, range(2), strict=False):
        assert line.get_xdata().tolist() == list(range(1, 13))
        np.testing.assert_array_equal(line.get_ydata(), found.running[:, label])
    assert [text.get_text() for text in running.get_legend().get_texts()] == ["few", "many"]
    expected = [values for layer in found.top for values in (layer.hidden, *layer.gates.values())]
    for each, values in zip(maps, expected, strict=True):
        np.testing.assert_array_equal(each.images[0].get_array(), values.T)
        assert each.lines[-1].get_xdata() == [found.decided + 1] * 2
    assert [text.get_text() for text in maps[-1].get_xticklabels()] == list(SEQUENCE)


def test_the_plot_takes_names_literally():
    found = hand_made(["no", "yes"], tokens=["$x_", "$\x1b$"])
    found.labels[:] = ["_hidden", "$\\frac$"]
    figure = plot_trace(found)
    figure.draw_without_rendering()  # as math, these would not parse
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == ["_hidden", "$\\frac$"]
    assert [text.get_text() for text in figure.axes[1].get_xticklabels()] == ["$x_", "$\\x1b$"]


def test_of_many_labels_the_final_one_has_a_line():
    running = np.full((2, 6), 0.1)
    running[1, 3] = 0.5
    layer = LayerTrace(1, False, np.zeros((2, 1)), {})
    parts = ("ab", ["a", "b"], [(0, 1), (1, 2)], [layer], list("pqrstu"), np.arange(2), running, np.array([0, 3]))
    axes = plot_trace(Trace(*parts)).axes[0]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["s"]
    assert axes.lines[0].get_ydata().tolist() == [0.1, 0.5]


def test_bad_arguments_are_refused(models, monkeypatch):
    with pytest.raises(NotFittedError, match="SequenceClassifier"):
        trace(SequenceClassifier(), SEQUENCE)
    tagger = SequenceTagger(max_epochs=1, validation_fraction=None, hidden_size=2, device="cpu")
    with pytest.raises(ConfigError, match="tagging"):
        trace(tagger.fit([["a", "b"]], [["X", "Y"]]), ["a"])
    with pytest.raises(DataError, match="sequence 0: .*empty"):
        trace(models["rnn"], "")
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError, match=r"'matplotlib'.*ostinato\[explain\]"):
        plot_trace(hand_made(["no"]))


@pytest.mark.gpu
@pytest.mark.parametrize("shape", SHAPES)
def test_gpu_gives_the_cpus_trace(models, shape):
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    expected = trace(models[shape], SEQUENCE)
    models[shape].model_.cuda()
    found = trace(models[shape], SEQUENCE)
    models[shape].model_.cpu()
    np.testing.assert_allclose(found.running, expected.running, atol=1e-3)
    for one, other in zip(found.layers, expected.layers, strict=True):
        np.testing.assert_allclose(one.hidden, other.hidden, atol=1e-3)
