"""Networks of whole sequences: from config to layers, and an answer that depends on the sequence alone."""

import pytest
import torch

from ostinato.config import SequenceModel
from ostinato.data.encoder import SequenceEncoder
from ostinato.data.ragged import Ragged
from ostinato.nn import Layout
from ostinato.tasks.classification.network import Classifier
from ostinato.tasks.sequences.network import build_network
from ostinato.training import predict_outputs

MANY = {"num_layers": 3, "bidirectional": True, "residual": True, "layer_norm": True, "dropout": 0.4}
CONFIGS = {
    "plain": SequenceModel.with_old_defaults(cell="rnn", nonlinearity="relu", hidden_size=6, embedding_size=4),
    "all": SequenceModel.with_old_defaults(
        **MANY,
        cell="gru",
        hidden_size=5,
        embedding_size=6,
        position="sinusoidal",
        pooling=["attention", "last", "max", "mean"],
    ),
    "cnn": SequenceModel.with_old_defaults(
        **MANY, cell="cnn", hidden_size=7, embedding_size=6, kernel_size=3, pooling=["attention", "last", "max"]
    ),
    "convolution, then lstm": SequenceModel.with_old_defaults(
        cell="lstm",
        hidden_size=5,
        embedding_size=6,
        bidirectional=True,
        conv_size=8,
        kernel_size=5,
        conv_pool=3,
        dropout=0.2,
        position="learned",
        pooling=["last", "attention"],
    ),
}


TEXT = SequenceEncoder.fit(["abcdefghabcd"], tokenizer="characters")  # 9 ids, at most 12 steps


def classifier(config):
    return build_network(Classifier, config, TEXT, num_outputs=3)


def batch(lengths):
    return torch.randint(9, (sum(lengths),)), torch.tensor(lengths)


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_answer_does_not_depend_on_batch_mates_order_or_size(config):
    model = classifier(config).eval()
    lengths = [5, 1, 40, 17, 2]
    values, _ = batch(lengths)
    sequences = Ragged(values, torch.tensor(lengths))
    together = predict_outputs(model, sequences)
    backwards = predict_outputs(model, sequences.select(torch.arange(4, -1, -1)))
    assert torch.equal(backwards.flip(0), together)
    with torch.inference_mode():
        for row, sequence in enumerate(values.split(lengths)):
            assert torch.equal(model(sequence, torch.tensor([len(sequence)])), together[row : row + 1])


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_the_torch_engine_depends_on_batch_mates_only_by_rounding(config):
    model = classifier(config.model_copy(update={"engine": "torch"})).eval()
    values, lengths = batch([5, 1, 40, 17, 2])
    together = model(values, lengths)
    for row, sequence in enumerate(values.split(lengths.tolist())):
        torch.testing.assert_close(model(sequence, torch.tensor([len(sequence)])), together[row : row + 1])


def test_a_batch_of_one_keeps_its_shape():
    assert classifier(CONFIGS["all"])(*batch([4])).shape == (1, 3)


def test_engines_agree_forward_and_backward():
    models = [
        classifier(CONFIGS["all"].model_copy(update={"engine": engine})).eval()
        for engine in ("reference", "torch", "native")
    ]
    for model in models[1:]:
        model.load_state_dict(models[0].state_dict())
    values, lengths = batch([3, 20, 1, 8])
    logits = [model(values, lengths) for model in models]
    for each in logits:
        each.square().sum().backward()
    expected = dict(models[0].named_parameters())
    for each, model in zip(logits[1:], models[1:], strict=True):
        torch.testing.assert_close(each, logits[0])
        for name, parameter in model.named_parameters():
            torch.testing.assert_close(parameter.grad, expected[name].grad, rtol=1e-4, atol=1e-5, msg=name)


def test_the_convolution_stem_stands_between_vectors_and_stack():
    model = classifier(CONFIGS["convolution, then lstm"]).eval()
    values, lengths = batch([7, 1, 3])
    layout = Layout(lengths)
    h, steps = model.states(values, layout)
    assert steps.lengths.tolist() == [3, 1, 1]
    positioned = model.position(model.embed(values), layout)
    torch.testing.assert_close(h, model.stack(*model.conv_stem(positioned, layout)))
    torch.testing.assert_close(model.from_vectors(model.embed(values), lengths), model(values, lengths))


def test_last_pooling_of_a_cnn_is_its_last_step():
    model = classifier(CONFIGS["cnn"].model_copy(update={"pooling": ["last"]})).eval()
    values, lengths = batch([4, 6])
    h, steps = model.states(values, Layout(lengths))
    assert torch.equal(model.pooling(h, steps), h[[3, 9]])


@pytest.mark.parametrize("stem", [{}, {"conv_size": 6}])
def test_only_recurrent_layers_run_on_an_engine_of_choice(stem):
    assert classifier(SequenceModel.with_old_defaults(engine="reference", **stem)).engine == "reference"
    assert classifier(CONFIGS["cnn"]).engine == "torch"


def test_predicting_leaves_the_mode_and_drops_nothing():
    model = classifier(CONFIGS["all"]).train()
    sequences = Ragged(*batch([3, 7]))
    assert torch.equal(predict_outputs(model, sequences), predict_outputs(model, sequences))
    assert model.training


def test_series_are_projected_and_positions_follow_the_longest_training_sequence():
    encoder = SequenceEncoder.fit([[[1.0, 2.0]] * 4, [[3.0, 1.0]] * 7], tokenizer="numeric")
    model = build_network(
        Classifier, SequenceModel.with_old_defaults(position="learned", embedding_size=5), encoder, num_outputs=2
    )
    assert model.embed.weight.shape == (5, 2)
    assert model.position.table.shape == (7, 5)


def test_probabilities_are_softened_by_the_temperature():
    model = classifier(CONFIGS["plain"])
    logits = torch.tensor([[2.0, 0.0, -1.0]])
    torch.testing.assert_close(model.answers(logits), logits.softmax(1))
    model.temperature.fill_(2.0)
    torch.testing.assert_close(model.answers(logits), (logits / 2).softmax(1))
