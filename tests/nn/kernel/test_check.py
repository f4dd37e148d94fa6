"""The program that checks the kernel on machines without Python (`make aarch64`) passes on this one, too."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from ostinato.nn import kernel
from ostinato.nn.kernel import binding

PROGRAM = Path(__file__).parent / "check" / "main.cpp"
SOURCES = Path(kernel.__file__).parent / "src"

if not kernel.is_built():
    pytest.skip("the kernel was not compiled", allow_module_level=True)
if not shutil.which("c++") or not SOURCES.exists():
    pytest.skip("this needs a C++ compiler and the kernel's sources", allow_module_level=True)


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """The compiled program."""
    target = tmp_path_factory.mktemp("check") / "check"
    library = binding.LIBRARY.resolve()
    command = ["c++", "-O1", "-std=c++17", "-I", SOURCES, PROGRAM, library, f"-Wl,-rpath,{library.parent}"]
    subprocess.run([*command, "-o", target], check=True)
    return target


@pytest.mark.parametrize("variant", ["avx512", "avx2", "portable"])
def test_every_variant_agrees_with_loops_in_double_precision(program, variant):
    environment = os.environ | {"OSTINATO_KERNEL": variant}
    done = subprocess.run([program], env=environment, capture_output=True, text=True)
    if not done.stdout.splitlines()[-1].startswith(variant):
        pytest.skip(f"this machine has no {variant}")
    assert done.returncode == 0, done.stdout
    assert f"{variant}: 0 of" in done.stdout
