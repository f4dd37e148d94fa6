"""Word vectors from characters, compared with torch.nn on each word by itself."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from ostinato.errors import ConfigError
from ostinato.nn import CharacterFeatures, Layout, RecurrentLayer

WORDS = [[3, 1, 4], [5], [2, 6, 5, 3, 5, 8], [9, 7]]
OCCURRENCES = [2, 0, 0, 3, 2, 1, 0, 2]
KINDS = ["lstm", "cnn"]


def batch(words):
    characters, lengths = [character for word in words for character in word], [len(word) for word in words]
    return torch.tensor(characters, dtype=torch.int64), Layout(torch.tensor(lengths, dtype=torch.int64))


def by_torch(features, word):
    """One word by itself. -> (output_size,)."""
    characters = features.embedding.weight[torch.tensor(word)]  # (T, D)
    if isinstance(features.encoder, RecurrentLayer):
        peer = nn.LSTM(features.encoder.input_size, features.encoder.hidden_size, bidirectional=True)
        states = torch.func.functional_call(peer, dict(features.encoder.named_parameters()), characters.unsqueeze(1))[
            1
        ][0]
        return states.flatten()
    h = F.conv1d(F.pad(characters.T.unsqueeze(0), (1, 1)), features.encoder.weight, features.encoder.bias)
    return h.squeeze(0).relu().amax(1)


@pytest.mark.parametrize("kind", KINDS)
def test_tokens_get_the_features_of_their_words_forward_and_backward(kind):
    features = CharacterFeatures(10, 5, 7, kind=kind)
    outputs = features(*batch(WORDS), torch.tensor(OCCURRENCES))
    expected = torch.stack([by_torch(features, WORDS[word]) for word in OCCURRENCES])
    assert outputs.shape == (len(OCCURRENCES), features.output_size)
    torch.testing.assert_close(outputs, expected, rtol=1e-4, atol=1e-6)
    weight = torch.randn_like(expected)
    ours, theirs = (
        torch.autograd.grad((each * weight).sum(), list(features.parameters())) for each in (outputs, expected)
    )
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_the_features_of_a_word_do_not_depend_on_other_words(kind):
    features = CharacterFeatures(10, 5, 7, kind=kind)
    with torch.inference_mode():
        together = features(*batch(WORDS), torch.arange(len(WORDS)))
        for word, expected in zip(WORDS, together, strict=True):
            assert torch.equal(features(*batch([word]), torch.tensor([0])), expected.unsqueeze(0))


@pytest.mark.parametrize("kind", KINDS)
def test_a_word_without_characters_gives_zeros(kind):
    features = CharacterFeatures(10, 5, 7, kind=kind)
    outputs = features(*batch([[], [1, 2]]), torch.tensor([1, 0, 1]))
    assert not outputs[1].any() and outputs[0].any() and torch.equal(outputs[0], outputs[2])
    assert features(*batch([]), torch.tensor([], dtype=torch.int64)).shape == (0, features.output_size)


@pytest.mark.parametrize("kind", KINDS)
def test_dropout_acts_in_training_only_and_equally_on_all_occurrences_of_a_word(kind):
    features = CharacterFeatures(10, 50, 7, kind=kind, dropout=0.5)
    first, second = (features(*batch(WORDS), torch.tensor([0, 2, 0])) for _ in range(2))
    assert torch.equal(first[0], first[2]) and not torch.equal(first, second)
    features.eval()
    assert torch.equal(*(features(*batch(WORDS), torch.tensor([0, 2, 0])) for _ in range(2)))


def test_unknown_kind_is_refused():
    with pytest.raises(ConfigError, match="'lstn'.*'lstm'"):
        CharacterFeatures(10, 5, 7, kind="lstn")
