"""Writes docs/dependencies.md: purposes from dependencies.toml, sizes and licences from what is installed.

`make dependencies` runs it, in an environment with all extras.
"""

import sys
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "dependencies.md"
FOR_DEVELOPERS = ("bench", "docs", "dev")
MIB = 2**20
Notes = dict[str, dict[str, str]]  # of each package: purpose, imported, released

TEXT = """# Dependencies

What Ostinato needs, and why. `make dependencies` writes this page from `release/dependencies.toml` and from the
packages that are installed. A size is that of one installed package ({platform}), without what it
needs itself; last releases are as of {looked}. `make sbom` writes a bill of materials (CycloneDX) with every version
and licence.

## Every install

{core}

Without PyTorch, these and what they need take {total} MiB on the disk. The largest, in MiB, are
{largest}.
The goal was 200. It is out of reach: NumPy, SciPy and scikit-learn alone take {science} MiB, and baselines, calibration
and statistics are part of every training. `import ostinato` and `ostinato --help` import none of the large ones, and an
exported model runs without PyTorch ([exporting](export.md)).

## Extras

`pip install 'ostinato[NAME]'`; `all` is all of these. A command that needs a missing one names it.

{extras}

## For developers

The extras `bench`, `docs` and `dev`; no user needs them.

{developers}
"""


def main() -> None:
    """Write the page."""
    project = read_toml(ROOT / "pyproject.toml")["project"]
    notes = read_toml(Path(__file__).with_name("dependencies.toml"))
    core = requirements(project["dependencies"])
    groups = {name: requirements(lines) for name, lines in project["optional-dependencies"].items() if name != "all"}
    sizes = {name: size(name) / MIB for name in closure([each.name for each in core if each.name != "torch"])}
    largest = sorted(sizes, key=lambda name: -sizes[name])[:4]
    text = TEXT.format(
        platform=f"Python {sys.version_info[0]}.{sys.version_info[1]} for {sys.platform}",
        looked=notes["looked"],
        core=core_table(core, notes["package"]),
        total=f"{sum(sizes.values()):.0f}",
        largest=", ".join(f"{name} ({sizes[name]:.0f})" for name in largest),
        science=f"{sum(sizes[name] for name in ('numpy', 'scipy', 'scikit-learn')):.0f}",
        extras=extras_table(groups, notes["package"]),
        developers=developers_table(groups, notes["package"]),
    )
    PAGE.write_text(text, encoding="utf-8")


def core_table(core: list[Requirement], notes: Notes) -> str:
    heads = ["package", "purpose", "imported", "licence", "MiB", "last release"]
    return table(heads, [row(each, notes) for each in core])


def extras_table(groups: dict[str, list[Requirement]], notes: Notes) -> str:
    rows = [
        [f"`{extra}`", *row(each, notes)] for extra in groups if extra not in FOR_DEVELOPERS for each in groups[extra]
    ]
    return table(["extra", "package", "purpose", "imported", "licence", "MiB", "last release"], rows)


def developers_table(groups: dict[str, list[Requirement]], notes: Notes) -> str:
    """Without packages that users may need, too, which are in the other tables."""
    known = {each.name for extra in groups if extra not in FOR_DEVELOPERS for each in groups[extra]}
    rows = [
        [f"`{extra}`", f"`{each.name}`", notes[each.name]["purpose"], notes[each.name]["released"]]
        for extra in FOR_DEVELOPERS
        for each in groups[extra]
        if each.name not in known
    ]
    return table(["extra", "package", "purpose", "last release"], rows)


def read_toml(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text(encoding="utf-8"))


def requirements(lines: list[str]) -> list[Requirement]:
    """The packages of some lines of pyproject.toml, apart from Ostinato itself with extras."""
    return [each for each in map(Requirement, lines) if each.name != "ostinato"]


def row(requirement: Requirement, notes: Notes) -> list[str]:
    """What the page says of a package that users may need."""
    name, note = requirement.name, notes[requirement.name]
    return [
        f"`{name}{requirement.specifier}`",
        note["purpose"],
        note["imported"],
        licence(installed(name)),
        f"{size(name) / MIB:.1f}",
        note["released"],
    ]


def table(heads: list[str], rows: list[list[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def installed(name: str) -> Distribution:
    try:
        return distribution(name)
    except PackageNotFoundError:
        sys.exit(f"{name} is not installed, so its size is unknown. Run: make dependencies")


def size(name: str) -> int:
    """Bytes of a package's files, without compiled Python."""
    files = installed(name).files or []
    paths = [Path(str(file.locate())) for file in files if file.suffix != ".pyc"]
    return sum(path.stat().st_size for path in paths if path.exists())


def licence(package: Distribution) -> str:
    """The licence that a package declares: an expression, else its classifiers, else a short text."""
    metadata = package.metadata
    if expression := metadata.get("License-Expression"):
        return str(expression)
    classifiers = [str(line) for line in metadata.get_all("Classifier", [])]
    classified = [line.rpartition(" :: ")[2] for line in classifiers if line.startswith("License ::")]
    text = str(metadata.get("License") or "").strip().splitlines()
    return ", ".join(classified) or (text[0] if text else "not declared")


def closure(names: list[str]) -> set[str]:
    """The packages and all that they need here, without extras."""
    found: set[str] = set()
    left = list(map(canonicalize_name, names))
    while left:
        name = left.pop()
        if name in found:
            continue
        found.add(name)
        for line in installed(name).requires or []:
            needed = Requirement(line)
            if needed.marker is None or needed.marker.evaluate({"extra": ""}):
                left.append(canonicalize_name(needed.name))
    return found


if __name__ == "__main__":
    main()
