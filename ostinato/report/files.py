"""A report's files: its page, and the model card that its author completes."""

from collections.abc import Sequence
from pathlib import Path

from ostinato.report.facts import RunRecord
from ostinato.report.model_card import CardSection, card_markdown
from ostinato.report.page import Section, render
from ostinato.storage import write_atomically


def write_page(facts: RunRecord, sections: Sequence[Section], card: Sequence[CardSection]) -> Path:
    """Write the page and, where there is none yet, the model card. Returns the page's path.

    A model card that is there already is left as it is: its author may have filled it in.

    Raises:
        RunError: a file cannot be written.
    """
    page = facts.folder / "report.html"
    write_atomically(page, render(f"Report of {facts.name}", sections))
    own = facts.folder / "model_card.md"
    if not own.exists():
        write_atomically(own, card_markdown(f"Model card of {facts.name}", card))
    return page
