"""Which features suit the linear baseline of a data set."""

from typing import Any


def baseline_kind(tokenizer: str, sequence: Any) -> str:
    """The kind of features, as `ostinato.evaluation.baselines` names them, for sequences read by this tokenizer."""
    if tokenizer == "events":
        return "text" if isinstance(sequence, str) else "events"
    return {"words": "text", "numeric": "numeric"}.get(tokenizer, "symbols")
