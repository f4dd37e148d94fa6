"""Attributions against hand-set models, captum and brute force."""

import numpy as np
import pytest
import torch
from plain import PLAIN

import ostinato
from ostinato import SequenceClassifier, explain
from ostinato.errors import ConfigError, DataError, NotFittedError
from ostinato.explanation import METHODS, explain_sequences, methods_of
from ostinato.explanation.gradients import integrated_gradients
from ostinato.explanation.masking import neutral_vector
from ostinato.nn import Layout, use_engine
from ostinato.nn.sequence_network import log_odds

WEIGHTS = {"A": 2.0, "C": -1.0, "G": 0.5, "T": 0.0}
NEUTRAL = (2.0 - 1.0 + 0.5 + 0.0) / 5  # the mean of A, C, G, T and N, whose weight is 0
LINEAR_METHODS = ("integrated-gradients", "gradient-x-input", "occlusion")


@pytest.fixture(scope="module")
def bigru():
    rng = np.random.default_rng(0)
    texts = ["".join(rng.choice(list("ACGT"), size=size)) for size in rng.integers(5, 40, size=60)]
    layers = {"cell": "gru", "bidirectional": True, "pooling": ["attention", "max"], "embedding_size": 8}
    training = {"hidden_size": 8, "tokenizer": "nucleotides", "max_epochs": 3, "validation_fraction": None, "lr": 0.02}
    model = SequenceClassifier(**{**PLAIN, **layers, **training})
    return model.fit(texts, ["many" if text.count("A") * 4 > len(text) else "few" for text in texts])


@pytest.mark.parametrize("method", LINEAR_METHODS)
def test_scores_of_a_linear_model_are_its_weights(make_linear, method):
    (explanation,) = explain(make_linear(), ["ACGTA"], method=method, label="yes")
    expected = [(WEIGHTS[letter] - NEUTRAL) / 5 for letter in "ACGTA"]
    np.testing.assert_allclose(explanation.scores, expected, atol=2e-5)
    assert explanation.tokens == list("ACGTA")
    assert explanation.offsets == [(place, place + 1) for place in range(5)]
    assert explanation.probability == pytest.approx(1 / (1 + np.exp(-3.5 / 5)), abs=1e-5)


@pytest.mark.parametrize("method", LINEAR_METHODS)
def test_the_other_label_gets_the_opposite_scores(make_linear, method):
    model = make_linear()
    yes, no = (explain(model, ["ACGTA"], method=method, label=label)[0] for label in ("yes", "no"))
    np.testing.assert_allclose(yes.scores, -no.scores, atol=2e-5)
    assert yes.probability + no.probability == pytest.approx(1)


def test_a_mutation_is_compared_with_the_other_three_letters(make_linear):
    (explanation,) = explain(make_linear(), ["ACGTA"], method="in-silico-mutagenesis", label="yes")
    total = sum(WEIGHTS.values())
    expected = [(WEIGHTS[letter] - (total - WEIGHTS[letter]) / 3) / 5 for letter in "ACGTA"]
    np.testing.assert_allclose(explanation.scores, expected, atol=2e-5)


def test_an_n_is_mutated_to_all_four_letters(make_linear):
    (explanation,) = explain(make_linear(), ["NA"], method="in-silico-mutagenesis", label="yes")
    assert explanation.scores[0] == pytest.approx((0 - sum(WEIGHTS.values()) / 4) / 2, abs=2e-5)


def test_the_predicted_label_is_explained_by_default(make_linear):
    explanations = explain(make_linear(), ["AAAA", "CCCC"])
    assert [each.label for each in explanations] == ["yes", "no"]
    assert all(each.probability > 0.5 and (each.scores > 0).all() for each in explanations)


def test_integrated_gradients_add_up_to_the_difference_in_log_odds(bigru):
    sequences = ["ACGTTGCA", "GGGTTTAAACCCAAA" * 4, "A"]
    explanations = explain(bigru, sequences)
    model, encoder, labels = bigru.model_, bigru.encoder_, bigru.codec_.labels
    for explanation in explanations:
        encoded = encoder.encode([explanation.sequence])
        classes = torch.tensor([labels.index(explanation.label)])
        x = model.embed(encoded.values)
        ends = [
            log_odds(model.from_vectors(each, encoded.lengths), classes).item()
            for each in (x, neutral_vector(model).expand_as(x))
        ]
        assert explanation.gap is not None and explanation.gap <= 0.01
        assert explanation.scores.sum() == pytest.approx(
            ends[0] - ends[1], abs=0.011 * max(abs(ends[0] - ends[1]), 0.1)
        )


def test_integrated_gradients_equal_captums(bigru):
    captum = pytest.importorskip("captum.attr")
    model, encoded = bigru.model_, bigru.encoder_.encode(["ACGTTGCAAATTCG"])
    classes = torch.tensor([1])

    def forward(x):  # captum's leading dimension is the batch: (K, T, D) copies along the way
        return log_odds(model.from_vectors(x.flatten(0, 1), torch.full((len(x),), x.shape[1])), classes.expand(len(x)))

    x = model.embed(encoded.values).detach().unsqueeze(0)
    expected = (
        captum.IntegratedGradients(forward)
        .attribute(x, neutral_vector(model).expand_as(x), n_steps=64, method="gausslegendre")
        .sum(2)
        .squeeze(0)
    )
    scores, _ = integrated_gradients(model, encoded, classes)
    np.testing.assert_allclose(
        scores, expected.detach().numpy(), atol=5e-2 * np.abs(scores).max()
    )  # ours stops at 1 % of the log-odds


def test_gradient_x_input_equals_finite_differences(bigru):
    (explanation,) = explain(bigru, ["ACGTTGCAAATTCG"], method="gradient-x-input", label="many")
    model, encoded = bigru.model_, bigru.encoder_.encode(["ACGTTGCAAATTCG"])
    x, neutral = model.embed(encoded.values).detach(), neutral_vector(model)
    index = torch.tensor([bigru.codec_.labels.index("many")])
    step = 1e-2
    for place in range(len(x)):
        moved = [x.clone(), x.clone()]
        for sign, each in zip((1, -1), moved, strict=True):
            each[place] += sign * step * (x[place] - neutral)
        up, down = (log_odds(model.from_vectors(each, encoded.lengths), index).item() for each in moved)
        assert explanation.scores[place] == pytest.approx((up - down) / (2 * step), abs=2e-3)


def test_a_masked_word_reads_as_unknown_if_training_saw_unknown_words():
    texts = ["good rare fine", "bad odd fine"]
    met, never = (
        SequenceClassifier(
            min_count=count, max_epochs=1, validation_fraction=None, hidden_size=2, tokenizer="words"
        ).fit(texts * 2 + ["once"], [*"abab", "a"])
        for count in (2, 1)
    )
    assert torch.equal(neutral_vector(met.model_), met.model_.embed.weight[0])
    torch.testing.assert_close(neutral_vector(never.model_), never.model_.embed.weight[1:].mean(0))


def test_integrated_gradients_cross_a_cliff():
    """A model whose answer turns within a thousandth of the way: even nodes would miss it or count it too often."""
    model = SequenceClassifier(
        **{**PLAIN, "cell": "rnn", "embedding_size": 1, "hidden_size": 1, "max_epochs": 1, "tokenizer": "characters"},
        validation_fraction=None,
    )
    model.fit(["ab", "ba"], ["no", "yes"])
    classifier = model.model_
    with torch.no_grad():
        classifier.embed.weight.copy_(torch.tensor([[0.0], [1.0], [-1.0]]))
        layer = classifier.stack.layers[0]
        layer.weight_ih_l0.fill_(4000.0)
        layer.weight_hh_l0.zero_()
        layer.bias_ih_l0.fill_(-1234.5)
        layer.bias_hh_l0.zero_()
        classifier.head.weight.copy_(torch.tensor([[-1.0], [1.0]]))
        classifier.head.bias.zero_()
    (explanation,) = explain(model, ["ba"], label="yes")
    np.testing.assert_allclose(
        explanation.scores, [0.0, 4.0], atol=0.04
    )  # the state of the last step goes from −1 to 1
    assert explanation.gap is not None and explanation.gap <= 0.01


def test_occlusion_equals_masking_one_step_at_a_time(bigru):
    (explanation,) = explain(bigru, ["ACGTTGCAAATTCG"], method="occlusion", label="many")
    model, encoded = bigru.model_, bigru.encoder_.encode(["ACGTTGCAAATTCG"])
    index = torch.tensor([bigru.codec_.labels.index("many")])
    with torch.no_grad():
        x = model.embed(encoded.values)
        whole = log_odds(model.from_vectors(x, encoded.lengths), index).item()
        for place in range(len(x)):
            masked = x.clone()
            masked[place] = neutral_vector(model)
            assert explanation.scores[place] == pytest.approx(
                whole - log_odds(model.from_vectors(masked, encoded.lengths), index).item(), abs=1e-5
            )


def test_occlusion_of_a_long_sequence_goes_by_windows(make_linear):
    sequence = "AC" * 1024  # 2,048 steps in 512 windows of 4
    (explanation,) = explain(make_linear(), [sequence], method="occlusion", label="yes")
    np.testing.assert_allclose(explanation.scores, ((2 - 1) / 2 - NEUTRAL) / 2048, atol=2e-5)
    assert explanation.scores.sum() == pytest.approx(0.5 - NEUTRAL, abs=0.02)


def test_attention_is_the_poolings_weight(bigru):
    texts = ["ACGTTGCA", "AAAT"]
    explanations = explain(bigru, texts, method="attention")
    encoded = bigru.encoder_.encode(texts)
    layout = Layout(encoded.lengths)
    model = bigru.model_
    with torch.no_grad():
        h = model.stack(model.embed(encoded.values), layout)
        weights = model.pooling.poolings["attention"].weights(h, layout).numpy()
    np.testing.assert_allclose(np.concatenate([each.scores for each in explanations]), weights, atol=1e-6)
    assert all(each.scores.sum() == pytest.approx(1) for each in explanations)


@pytest.mark.parametrize("method", METHODS)
def test_an_explanation_does_not_depend_on_its_batch(bigru, method):
    texts = ["ACGTTGCA", "A", "TTTTTACGACGACGTACGTAAGCGC", "ACGTTGCA"]
    together = explain(bigru, texts, method=method)
    alone = [explain(bigru, [text], method=method)[0] for text in texts]
    for one, other in zip(together, alone, strict=True):
        np.testing.assert_allclose(one.scores, other.scores, atol=1e-4 * max(np.abs(other.scores).max(), 1e-3))
    np.testing.assert_allclose(together[0].scores, together[3].scores, atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("engine", ["reference", "torch", "native"])
def test_every_engine_gives_the_same_explanation(bigru, method, engine):
    if engine == "native" and not ostinato.nn.kernel.is_built():
        pytest.skip("the native engine was not built")
    (expected,) = explain(bigru, ["ACGTTGCAAATT"], method=method)
    with use_engine(engine):
        (explanation,) = explain(bigru, ["ACGTTGCAAATT"], method=method)
    np.testing.assert_allclose(explanation.scores, expected.scores, atol=1e-4)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("method", METHODS)
def test_a_gpu_gives_the_same_explanation(bigru, method):
    (expected,) = explain(bigru, ["ACGTTGCAAATT"], method=method)
    bigru.model_.to("cuda")
    try:
        (explanation,) = explain(bigru, ["ACGTTGCAAATT"], method=method)
    finally:
        bigru.model_.to("cpu")
    np.testing.assert_allclose(explanation.scores, expected.scores, atol=1e-3)


def test_notebooks_show_explanations_and_estimators_as_html(bigru):
    (explanation,) = explain(bigru, ["ACGTTGCAAATT"])
    assert explanation._repr_html_().startswith('<div class="explanation">')
    assert "SequenceClassifier" in bigru._repr_html_() and "hidden_size" in bigru._repr_html_()


@pytest.mark.parametrize("method", METHODS)
def test_the_model_is_left_as_it_was(bigru, method):
    before = {name: value.clone() for name, value in bigru.model_.state_dict().items()}
    bigru.model_.train()
    explain(bigru, ["ACGT"], method=method)
    assert bigru.model_.training and all(
        parameter.requires_grad and parameter.grad is None for parameter in bigru.model_.parameters()
    )
    bigru.model_.eval()
    assert all(torch.equal(value, before[name]) for name, value in bigru.model_.state_dict().items())


@pytest.mark.parametrize("method", METHODS)
def test_one_token_and_unknown_tokens_alone_are_explained(bigru, method):
    explanations = explain(bigru, ["A", "???", "N"], method=method)
    assert [len(each.scores) for each in explanations] == [1, 3, 1]
    assert all(np.isfinite(each.scores).all() for each in explanations)


@pytest.mark.slow
@pytest.mark.parametrize("method", [*LINEAR_METHODS, "attention"])
def test_five_thousand_tokens_are_explained(bigru, method):
    (explanation,) = explain(bigru, ["ACGTT" * 1000], method=method)
    assert (
        len(explanation.scores) == 5000
        and np.isfinite(explanation.scores).all()
        and np.abs(explanation.scores).max() > 0
    )


def test_a_series_is_explained_by_its_steps():
    rng = np.random.default_rng(0)
    series = [rng.normal(size=(6, 2)) for _ in range(40)]
    model = SequenceClassifier(
        cell="lstm", hidden_size=4, embedding_size=4, pooling="mean", max_epochs=2, validation_fraction=None
    )
    model.fit(series, [int(each[:, 0].sum() > 0) for each in series])
    (explanation,) = explain(model, [series[0]])
    assert explanation.gap is not None and explanation.gap <= 0.01
    assert explanation.tokens[0] == f"{series[0][0, 0]:g} {series[0][0, 1]:g}"
    mean = np.array(model.encoder_.mean)
    (nothing,) = explain(model, [np.tile(mean, (6, 1))])
    np.testing.assert_allclose(nothing.scores, 0, atol=1e-6)  # steps at the training mean say nothing


def test_truncated_tokens_are_left_out():
    texts = ["good one two three four bad", "bad one two three four good"]
    model = SequenceClassifier(
        max_length=3, truncate="both", max_epochs=1, validation_fraction=None, hidden_size=2, tokenizer="words"
    ).fit(texts, ["a", "b"])
    (explanation,) = explain(model, ["Good one two  three four BAD"])
    assert explanation.tokens == ["good", "one", "bad"]
    assert [explanation.text[start:end] for start, end in explanation.offsets] == ["Good", "one", "BAD"]


@pytest.mark.parametrize(("method", "reason"), [("attention", "mean"), ("in-silico-mutagenesis", "words")])
def test_an_unavailable_method_is_refused_with_those_that_are_available(make_linear, method, reason):
    model = make_linear({"good": 1.0, "bad": -1.0}, tokenizer="words")
    with pytest.raises(ConfigError, match=f"{method}.*{reason}.*integrated-gradients, gradient-x-input, occlusion"):
        explain(model, ["good"], method=method)
    assert tuple(methods_of(model)) == LINEAR_METHODS


def test_a_model_and_its_estimator_have_the_same_explanations(make_linear):
    model = make_linear()
    by_model, by_estimator = (explain_sequences(each, ["ACGT", "AC"]) for each in (model.fitted_, model))
    for one, other in zip(by_model, by_estimator, strict=True):
        np.testing.assert_array_equal(one.scores, other.scores)
    assert [each.row for each in by_model] == [0, 1]


def test_bad_arguments_are_refused(make_linear):
    model = make_linear()
    with pytest.raises(ConfigError, match="'occlusoin'.*'occlusion'"):
        explain(model, ["A"], method="occlusoin")
    with pytest.raises(ConfigError, match="'maybe'.*no, yes"):
        explain(model, ["A"], label="maybe")
    with pytest.raises(ConfigError, match=r"tokens \[0\]"):
        explain(model, ["A"], tokens=[0])
    with pytest.raises(DataError, match="sequence 1: .*empty"):
        explain(model, ["A", ""])
    with pytest.raises(DataError, match="b.csv, row 2: .*empty"):
        explain_sequences(model, ["A", ""], sources=["b.csv, row 1", "b.csv, row 2"])
    for unfitted in (explain, explain_sequences):
        with pytest.raises(NotFittedError, match="SequenceClassifier"):
            unfitted(SequenceClassifier(), ["A"])
    assert explain(model, []) == []
