"""What drove the answer for a sequence: one score per token, by several methods."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ostinato.data.ragged import Ragged
from ostinato.data.tokenizers import make_tokenizer
from ostinato.data.vocabulary import AMINO_ACIDS, NUCLEOTIDES, Vocabulary
from ostinato.errors import ConfigError, look_up, suggest
from ostinato.explanation.explanation import Explanation
from ostinato.explanation.gradients import gradient_x_input, integrated_gradients
from ostinato.explanation.masking import batches, slices_of
from ostinato.explanation.members import mean_scores
from ostinato.explanation.model import ExplainableModel, encode_given, fitted, tokens_and_offsets
from ostinato.explanation.perturbation import mutagenesis, occlusion
from ostinato.nn import AttentionPooling, Ensemble, Layout, SequenceNetwork
from ostinato.progress import Progress
from ostinato.training.predict import predict_outputs

METHODS = ("integrated-gradients", "gradient-x-input", "occlusion", "attention", "in-silico-mutagenesis")

Scores = tuple[np.ndarray, np.ndarray | None]  # of each step (N,), and the gap of each sequence (B,)
Attribute = Callable[[SequenceNetwork, Ragged, Tensor], Scores]  # (network, sequences, the target of each)
SEQUENCES_AT_A_TIME = 128
ALPHABETS: dict[Vocabulary | None, str] = {NUCLEOTIDES: "ACGT", AMINO_ACIDS: "ACDEFGHIKLMNPQRSTVWY"}


def explain_sequences(
    model: ExplainableModel,
    sequences: Iterable[Any],
    *,
    method: str = "integrated-gradients",
    label: Any = None,
    sources: Sequence[str] | None = None,
    progress: Progress | None = None,
    tokens: Sequence[int] | None = None,
) -> list[Explanation]:
    """Explain the answer for each sequence.

    Args:
        model: a trained model, or a fitted estimator.
        sequences: as for `predict`; truncated sequences are explained as the model reads them.
        method: one of `methods_of(model)`.
        label: the name of the output to explain; by default the network chooses, for a classifier the predicted class.
        sources: the name of each sequence in errors, as `reviews.csv, row 17`.
        progress: where to show progress.
        tokens: only for taggers; None here.

    Raises:
        ConfigError: an unknown method or label, or one that this model does not have; `tokens` is given.
        DataError: a sequence is empty or cannot be encoded.
        NotFittedError: the estimator is not fitted yet.
    """
    model = fitted(model)
    if tokens is not None:
        raise ConfigError(
            f"tokens {list(tokens)}: this model gives each sequence one answer, and tokens select the words of a "
            "tagger. Remove it."
        )
    _refuse_method(model, method)
    target = None if label is None else index_of(model, label)
    given, encoded = encode_given(model, sequences, sources)
    starts = range(0, len(given), SEQUENCES_AT_A_TIME)
    parts = [range(start, min(start + SEQUENCES_AT_A_TIME, len(given))) for start in starts]
    explanations: list[Explanation] = []
    for rows in (progress or Progress(quiet=True)).track(parts, "explaining"):
        part = encoded.select(torch.tensor(rows))
        outputs = predict_outputs(model.network, part)
        chosen = model.network.chosen(outputs)
        targets = chosen if target is None else torch.full_like(chosen, target)
        values = model.network.answers(outputs).gather(1, targets.unsqueeze(1)).squeeze(1).tolist()
        scores, gaps = _scores(model, method, [given[row] for row in rows], part, targets)
        for at in range(len(part)):
            sequence = given[rows[at]]
            explanations.append(
                Explanation(
                    method,
                    sequence,
                    *tokens_and_offsets(model.encoder, sequence),
                    scores[at],
                    model.codec.names[int(targets[at])],
                    values[at],
                    quantity=model.network.quantity,
                    row=rows[at],
                    gap=None if gaps is None else float(gaps[at]),
                )
            )
    return explanations


def index_of(model: ExplainableModel, label: Any) -> int:
    """The output that a label names.

    Raises:
        ConfigError: the model has no output of that name.
    """
    names = list(model.codec.names)
    if label not in names:
        known = list(map(str, names))
        hint = suggest(str(label), known)
        raise ConfigError(f"label {label!r} is not one of the model's. {hint}Choose from: {', '.join(known)}.")
    return names.index(label)


def methods_of(model: ExplainableModel) -> dict[str, Attribute]:
    """The methods that this model has, by name."""
    model = fitted(model)
    if isinstance(model.network, Ensemble):
        own = [methods_of(member) for member in model.members]
        return {name: each for name, each in own[0].items() if name != "attention" and all(name in of for of in own)}
    methods: dict[str, Attribute] = {
        "integrated-gradients": integrated_gradients,
        "gradient-x-input": gradient_x_input,
        "occlusion": occlusion,
    }
    if "attention" in model.network.pooling.poolings:
        methods["attention"] = attention
    letters, vocabulary = letters_of(model), model.encoder.vocabulary
    if letters is not None and vocabulary is not None:
        ids = np.array([vocabulary.id(letter) for letter in letters], np.int32)
        methods["in-silico-mutagenesis"] = partial(mutagenesis, letters=ids)
    return methods


def letters_of(model: ExplainableModel) -> str | None:
    """The letters of a model of DNA, RNA or protein, without ambiguous ones; None for other models."""
    encoder = fitted(model).encoder
    return None if encoder.is_numeric else ALPHABETS.get(make_tokenizer(encoder.tokenizer).vocabulary)


@torch.inference_mode()
def attention(network: SequenceNetwork, sequences: Ragged, targets: Tensor) -> Scores:
    """The weight of each token in attention pooling, whatever the target. Returns (N,).

    If the network pools steps before its stack, the weight of a step is shared evenly among its tokens.
    """
    scores = np.zeros(len(sequences.values))
    pooling = network.pooling.poolings["attention"]
    assert isinstance(pooling, AttentionPooling)
    for indices, batch in batches(sequences):
        values = batch.values.to(network.device)
        layout = Layout(batch.lengths, values.device)
        of_tokens = network.on_tokens(pooling.weights(*network.states(values, layout)), layout)
        weights = np.split(of_tokens.double().cpu().numpy(), batch.lengths.cumsum(0)[:-1].numpy())
        for steps, part in zip(slices_of(sequences, indices), weights, strict=True):
            scores[steps] = part
    return scores, None


def _scores(
    model: ExplainableModel, method: str, given: Sequence[Any], encoded: Ragged, targets: Tensor
) -> tuple[list[np.ndarray], np.ndarray | None]:
    """The scores of each sequence, (T,), and the gap of each, (B,); of an ensemble the largest of its members."""
    if not isinstance(model.network, Ensemble):
        scores, gaps = methods_of(model)[method](model.network, encoded, targets)
        return [scores[steps] for steps in slices_of(encoded, torch.arange(len(encoded)))], gaps
    found = [
        _scores(member, method, given, member.encoder.encode(given), targets.to(member.network.device))
        for member in model.members
    ]
    weights = model.network.weights.tolist()
    means = [
        mean_scores(model.members, weights, each, [own[row] for own, _ in found]) for row, each in enumerate(given)
    ]
    all_gaps = [gaps for _, gaps in found if gaps is not None]
    return means, np.max(all_gaps, axis=0) if all_gaps else None


def _refuse_method(model: ExplainableModel, method: str) -> None:
    methods = methods_of(model)
    if method not in methods and method in METHODS:
        raise ConfigError(
            f"method {method!r} is not available for this model: {_reason(model, method)}. Choose from: "
            f"{', '.join(methods)}."
        )
    look_up(methods, method, "method")


def _reason(model: ExplainableModel, method: str) -> str:
    if method == "in-silico-mutagenesis":
        return f"its tokens are {model.encoder.tokenizer}, not nucleotides or amino acids"
    if isinstance(model.network, Ensemble):
        return "it is an ensemble, whose members weigh tokens each in its own way"
    return f"it pools by {', '.join(model.network.pooling.poolings)}"
