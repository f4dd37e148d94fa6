"""The page of a pre-training: learning curve, neighbours of frequent tokens, continued sequences."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ostinato.data.vocabulary import UNKNOWN
from ostinato.data.words import WORD_START
from ostinato.errors import RunError
from ostinato.nn import RecurrentStack, TokenEmbedding
from ostinato.nn.next_step import LanguageModel
from ostinato.pretraining.config import NEXT_STEP, PretrainingTraining, read_own_config
from ostinato.pretraining.negatives import samples
from ostinato.pretraining.run import HISTORY
from ostinato.report.figures import plot_learning_curve
from ostinato.report.gallery import Gallery
from ostinato.report.page import Section, code, figure, paragraph, render, table
from ostinato.report.wording import counted
from ostinato.runs.finished import finished_metrics
from ostinato.runs.folder import resume_command
from ostinato.storage import make_subfolder, read_json, refuse_altered, unusable, write_atomically
from ostinato.storage.lock import locked
from ostinato.tasks.network import build_stack
from ostinato.training.pretrained import Pretrained, read_pretrained

if TYPE_CHECKING:
    from ostinato.pretraining.config import PretrainingConfig

FREQUENT, SKIPPED = 20, 50  # tokens with neighbours, after the most frequent, which mean little
NEIGHBOURS = 6
EXAMPLES, CONTINUED = 8, 12  # tokens that are continued, and by how many
LOSSES = {
    "next-step": "The loss is that of the next and the previous step of held-out sequences; without context it is that "
    "of each token's frequency, or of repeating the step before in a series.",
    "two-view": "The loss is that of telling the tokens of the next and the previous region from other tokens, in "
    "held-out sequences; without context it is that of each token's frequency there.",
    "skip-gram": "The loss is that of telling each token's neighbours from other tokens, in held-out sequences; "
    "without context it is that of each token's frequency there.",
}


def report_pretraining(folder: Path) -> Path:
    """Write `report.html` and its plots into the folder of a finished pre-training. Returns the page's path.

    Raises:
        RunError: it is not finished, or a file of it is missing or altered.
        MissingExtraError: a package of the extra `explain` is not installed.
    """
    metrics = finished_metrics(folder)
    if metrics is None:
        raise RunError(f"{folder}: the pre-training is not finished. Finish it with: {resume_command(folder)}")
    config, pretrained, gallery = read_own_config(folder), read_pretrained(folder), Gallery()
    is_sampled = pretrained.encoder.vocabulary is not None and samples(
        len(pretrained.encoder.vocabulary), config.training.num_negatives
    )
    sections = [_result(metrics, config.training), _training(folder, metrics, gallery, is_sampled=is_sampled)]
    if pretrained.encoder.vocabulary is not None:
        sections.append(_neighbours(pretrained))
        if config.training.objective == NEXT_STEP:
            sections.append(_continuations(language_model(config, pretrained), pretrained))
    environment = {name: str(value) for name, value in read_json(folder / "environment.json").items()}
    text = (folder / "config.toml").read_text(encoding="utf-8")
    sections += [
        Section("Configuration", "configuration", code(text)),
        Section("Environment", "environment", table(("name", "value"), environment.items())),
    ]
    with locked(folder):
        make_subfolder(folder / "figures")
        gallery.save(folder / "figures")
        page = folder / "report.html"
        write_atomically(page, render(f"Report of {folder.resolve().name}", sections))
    return page


def language_model(config: "PretrainingConfig", pretrained: Pretrained) -> LanguageModel:
    """The trained network, in eval mode.

    Raises:
        RunError: its weights do not fit its config.
    """
    assert pretrained.encoder.vocabulary is not None, "series have no language model"
    stack, size = build_stack(config.model, config.model.embedding_size), len(pretrained.encoder.vocabulary)
    assert isinstance(stack, RecurrentStack)
    embed = TokenEmbedding(size, config.model.embedding_size)
    bidirectional, dropout = config.model.bidirectional, config.model.word_dropout
    model = LanguageModel(
        embed=embed, stack=stack, bidirectional=bidirectional, bias=torch.zeros(size), word_dropout=dropout
    )
    try:
        model.load_state_dict(pretrained.weights)
    except RuntimeError:
        raise RunError(
            f"{pretrained.source}: its weights do not fit config.toml. Restore the file, or pre-train again."
        ) from None
    return model.eval()


def neighbours(table: Tensor, token: int, count: int) -> list[tuple[int, float]]:
    """The tokens whose vectors have the highest cosine with that of `token`, and the cosines.

    Args:
        table: (V, E), of norm 1.
    """
    cosines = table @ table[token]
    cosines[[UNKNOWN, token]] = -torch.inf
    found = cosines.topk(min(count, max(len(cosines) - 2, 0)))
    return list(zip(found.indices.tolist(), found.values.tolist(), strict=True))


@torch.inference_mode()
def continuation(model: LanguageModel, beginning: list[int], count: int) -> list[int]:
    """The beginning, continued `count` times by the most probable next token; never by the unknown one."""
    tokens = list(beginning)
    for _ in range(count):
        values = torch.tensor([*tokens, UNKNOWN])  # the step to predict; its own token is not read
        vectors, _ = model.predict(values, torch.tensor([len(values)]))
        logits = model.embed.weight @ vectors[len(tokens) - 1] + model.bias
        logits[UNKNOWN] = -torch.inf
        tokens.append(int(logits.argmax()))
    return tokens


def _result(metrics: dict[str, Any], training: PretrainingTraining) -> Section:
    held_out, data = metrics["validation"], metrics["data"]
    body = paragraph(
        f"Trained on {metrics['steps']:,} {'steps' if metrics['tokens'] is None else 'tokens'} of {data['name']} "
        f"({data['source']}), with the objective {training.objective}. {LOSSES[training.objective]}"
    )
    rows = [("loss", held_out["loss"]), ("loss without context", held_out["baseline_loss"])]
    if "perplexity" in held_out:
        rows.append(("perplexity", held_out["perplexity"]))
    return Section("Result", "result", body + table(("held out", "value"), [(n, f"{v:,.4g}") for n, v in rows], (1,)))


def _training(folder: Path, metrics: dict[str, Any], gallery: Gallery, *, is_sampled: bool) -> Section:
    path = folder / HISTORY
    refuse_altered(path)
    try:
        history = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        best = metrics["training"]["best_epoch"]
        pictures = gallery.show(plot_learning_curve(history, "loss", best), "Loss by epoch")
        if "perplexity" in metrics["validation"]:
            pictures += gallery.show(plot_learning_curve(history, "perplexity", best), "Held-out perplexity by epoch")
    except (OSError, ValueError, KeyError, IndexError):
        raise unusable(path) from None
    training = metrics["training"]
    caption = f"{counted(training['epochs'], 'epoch')} in {training['seconds']:,.1f} s."
    if is_sampled:
        caption += " The training loss is an estimate from sampled tokens, so it lies below the held-out loss."
    return Section("Training", "training", figure(pictures, caption))


def _neighbours(pretrained: Pretrained) -> Section:
    """The nearest vectors of frequent tokens; the vocabulary is in order of frequency, except for fixed alphabets."""
    assert pretrained.encoder.vocabulary is not None
    tokens, vectors = pretrained.encoder.vocabulary.tokens, F.normalize(pretrained.vectors, dim=1)
    first = SKIPPED if len(tokens) > SKIPPED + FREQUENT else 1
    rows = []
    for token in range(first, min(first + FREQUENT, len(tokens))):
        near = ", ".join(f"{tokens[each]} {cosine:.2f}" for each, cosine in neighbours(vectors, token, NEIGHBOURS))
        rows.append((tokens[token], near))
    body = paragraph("The tokens whose vectors point in the most similar direction, with the cosine.")
    return Section("Neighbours of frequent tokens", "neighbours", body + table(("token", "nearest"), rows))


def _continuations(model: LanguageModel, pretrained: Pretrained) -> Section:
    body = paragraph(
        "Frequent tokens, continued by the most probable next token. Such texts repeat themselves; they show what "
        "the forward half has learnt of the order of tokens."
    )
    rows = _continued(model, pretrained)
    return Section("Continuations", "continuations", body + table(("beginning", "continuation"), rows))


def _continued(model: LanguageModel, pretrained: Pretrained) -> Iterator[tuple[str, str]]:
    assert pretrained.encoder.vocabulary is not None
    tokens = pretrained.encoder.vocabulary.tokens
    first = SKIPPED if len(tokens) > SKIPPED + FREQUENT else 1
    for token in range(first, min(first + EXAMPLES, len(tokens))):
        found = [tokens[each] for each in continuation(model, [token], CONTINUED)]
        yield found[0], _joined(found[1:], pretrained.encoder.tokenizer)


def _joined(tokens: list[str], tokenizer: str) -> str:
    if tokenizer == "subwords":
        return "".join(tokens).replace(WORD_START, " ").strip()
    return ("" if tokenizer in ("characters", "nucleotides", "amino-acids") else " ").join(tokens)
