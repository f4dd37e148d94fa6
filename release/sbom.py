"""Reduces the bill of materials of an environment to Ostinato and what its users need.

    cyclonedx-py environment .venv/bin/python --pyproject pyproject.toml --output-file environment.json
    .venv/bin/python release/sbom.py environment.json sbom.json

An environment for development also has tools; and the bill counts the extras of all packages that happen to be there.
"""

import json
import sys
from pathlib import Path

from dependencies import FOR_DEVELOPERS, ROOT, closure, read_toml, requirements
from packaging.utils import canonicalize_name


def main(environment: Path, reduced: Path) -> None:
    """Read one file, write the other, and say what is in it."""
    bill = json.loads(environment.read_text(encoding="utf-8"))
    root = bill["metadata"]["component"]
    names = {each["bom-ref"]: canonicalize_name(each["name"]) for each in bill["components"]}
    needed = closure(sorted(needed_by_users() & set(names.values())))
    kept = {root["bom-ref"], *(ref for ref, name in names.items() if name in needed)}
    bill["components"] = [each for each in bill["components"] if each["bom-ref"] in kept]
    bill["dependencies"] = [
        {"ref": each["ref"], "dependsOn": [ref for ref in each.get("dependsOn", []) if ref in kept]}
        for each in bill["dependencies"]
        if each["ref"] in kept
    ]
    reduced.write_text(json.dumps(bill, indent=2) + "\n", encoding="utf-8")
    print(f"{reduced}: {root['name']} {root['version']} and {len(bill['components'])} packages that it needs")
    unlicensed = [each["name"] for each in bill["components"] if not each.get("licenses")]
    if unlicensed:
        print("They declare no licence that the bill could contain:", *unlicensed)


def needed_by_users() -> set[str]:
    """The direct dependencies, those of the extras for users included."""
    project = read_toml(ROOT / "pyproject.toml")["project"]
    extras = {name: lines for name, lines in project["optional-dependencies"].items() if name not in FOR_DEVELOPERS}
    lines = [*project["dependencies"], *(line for group in extras.values() for line in group)]
    return {canonicalize_name(each.name) for each in requirements(lines)}


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
