"""From predicted tags to tags in the scheme of the data. No PyTorch here."""

from collections.abc import Sequence

from ostinato.tasks.tagging.schemes import conlleval_entities, to_tags


def decode(tags: Sequence[str], scheme: str | None, target_scheme: str | None) -> list[str]:
    """The tags of a sentence, from the scheme that the model learns to that of the data.

    Predicted tags may break the scheme, so they are repaired like conlleval if they are converted.
    """
    if scheme == target_scheme:
        return list(tags)
    return to_tags(conlleval_entities(tags), len(tags), str(scheme))
