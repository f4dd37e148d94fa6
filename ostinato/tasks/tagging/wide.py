"""Taggers that start from a fitted linear-chain CRF, and the linear baseline of every tagger."""

from collections.abc import Hashable, Mapping
from typing import Any

import torch

from ostinato.progress import TimeLeft, unlimited
from ostinato.tasks.records import TaskData
from ostinato.tasks.tagging.config import TaggingModel
from ostinato.tasks.tagging.examples import Tagged
from ostinato.tasks.tagging.linear import Fitted, fit_linear
from ostinato.tasks.tagging.network import Tagger, build_tagger, predict_tags


def fit_wide(
    network: Tagger,
    splits: Mapping[str, Tagged],
    *,
    seed: int,
    known: dict[Hashable, Any] | None = None,
    time_left: TimeLeft = unlimited,
) -> Tagged:
    """Fit a linear-chain CRF to the training split alone, so that the network's first answers are those of this model.

    The output layer starts at 0. The layers are then trained to correct what linear models say of sentences that they
    did not see: on the sentences that it was fitted to, the model itself leaves nothing to correct.

    Returns:
        The training split, with the emissions of these linear models as `offsets`.

    Args:
        seed: draws the folds of these linear models.
        known, time_left: see `fit_linear`.

    Raises:
        OutOfTimeError: there is too little time for these linear models.
    """
    fitted = _fit(network, splits, seed=seed, crossfit=not network.is_linear, known=known, time_left=time_left)
    return splits["train"]._replace(offsets=fitted.unseen)


def linear_baseline(data: TaskData, time_left: TimeLeft = unlimited) -> tuple[list[list[str]], str]:
    """The tags that a linear-chain CRF gives the test split, and its description.

    Args:
        time_left: when time is over, the CRF is the best so far.
    """
    config = TaggingModel(cell="none", wide="features", head="crf", constrained=data.codec.target_scheme is not None)
    with torch.random.fork_rng(devices=[]):
        network = build_tagger(config, data.encoder, data.codec)
    seed, known = data.config.seed, data.known
    fitted = _fit(network, data.splits, seed=seed, crossfit=False, known=known, time_left=time_left)
    tags, _ = predict_tags(network.eval(), data.splits["test"].sentences)
    features = f"linear-chain CRF on {len(fitted.keys):,} features of words, affixes, word shapes and neighbours"
    total = len(data.splits["train"].lengths)
    part = "" if fitted.sentences == total else f", fitted to {fitted.sentences:,} of {total:,} sentences"
    description = f"{features}, L2 penalty {fitted.strength:g}{part}"
    return data.codec.decode(tags.numpy(), data.splits["test"].lengths.tolist()), description


@torch.no_grad()
def _fit(network: Tagger, splits: Mapping[str, Tagged], *, crossfit: bool, **options: Any) -> Fitted:
    wide, crf = network.wide, network.crf
    assert wide is not None and crf is not None
    fitted = fit_linear(wide, crf, splits, crossfit=crossfit, **options)
    wide.set_keys(fitted.keys)
    wide.weight.copy_(torch.from_numpy(fitted.tagger.weights))
    fitted.tagger.put_into(crf)
    network.head.weight.zero_()
    network.head.bias.zero_()
    return fitted if crossfit else fitted._replace(unseen=None)
