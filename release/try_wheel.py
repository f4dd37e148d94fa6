"""Installs a wheel into an empty environment and trains with it, where there is no compiler.

    python release/try_wheel.py dist/ostinato-VERSION-py3-none-manylinux_2_28_x86_64.whl

Fails unless the preset `majority` trains on the native engine, which must come from the wheel and use the processor's
vectors. Dependencies have the versions of requirements.txt.
"""

import json
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[1]


def main(wheel: Path) -> None:
    """Install the wheel, train, and look at the engine that the run recorded."""
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        venv.create(folder / "env", with_pip=True)
        programs = folder / "env" / ("Scripts" if sys.platform == "win32" else "bin")
        path = os.pathsep.join([str(programs), *paths_without_compiler(folder)])
        environment = {name: value for name, value in os.environ.items() if name not in ("CXX", "PYTHONPATH")}
        environment["PATH"] = path

        def run(*command: str) -> str:
            program = shutil.which(command[0], path=path) or command[0]
            options = {"check": True, "cwd": folder, "env": environment, "stdout": subprocess.PIPE, "text": True}
            return str(subprocess.run([program, *command[1:]], **options).stdout)

        run("python", "-m", "pip", "install", "--quiet", "--constraint", str(ROOT / "requirements.txt"), str(wheel))
        run("ostinato", "train", "majority", "--out", "run")
        metrics = json.loads((folder / "run" / "metrics.json").read_text(encoding="utf-8"))
        if metrics["model"]["engine"] != "native":
            sys.exit(f"{wheel.name} trained on the engine {metrics['model']['engine']!r}; expected 'native'.")
        code = "from ostinato.nn import kernel; print(kernel.variant())"
        variant = run("python", "-c", code).strip()
        if variant == "portable" and has_avx2():
            sys.exit(f"{wheel.name} uses the variant 'portable', although this processor has AVX2.")
        print(f"{wheel.name} trained `majority` on the native engine, variant {variant}.")


def has_avx2() -> bool:
    """Whether Linux says that the processor has AVX2; False on other systems."""
    info = Path("/proc/cpuinfo")
    return info.exists() and " avx2 " in info.read_text(encoding="utf-8")


def paths_without_compiler(folder: Path) -> list[str]:
    """A folder that links to every program of PATH but the compilers."""
    links = folder / "programs"
    links.mkdir()
    compilers = ("cc", "c++", "gcc", "g++", "clang", "clang++", "c89", "c99", "cl")
    for place in os.get_exec_path():
        for program in Path(place).glob("*") if Path(place).is_dir() else ():
            if program.name.partition("-")[0] not in compilers and not (links / program.name).exists():
                (links / program.name).symlink_to(program)
    return [str(links)]


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
