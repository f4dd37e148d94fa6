"""Builds the native kernel, a plain C library, next to its binding; everything else is in pyproject.toml.

The library depends on neither Python nor torch, so one wheel serves every Python on its platform. Without a C++
compiler the install still succeeds, and layers run on the torch engine. CXX and CXXFLAGS choose compiler and flags.
"""

import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext
from setuptools.errors import CompileError

SOURCES = Path("ostinato/nn/kernel/src")
LIBRARY = SOURCES.with_name("libostinato" + (".dylib" if sys.platform == "darwin" else ".so"))
FLAGS = ["-O3", "-std=c++17", "-fPIC", "-fvisibility=hidden", "-fno-math-errno", "-ffp-contract=off"]
VARIANTS = {"portable": []}
if platform.machine() in ("x86_64", "AMD64"):
    VARIANTS = {"avx512": ["-mavx512f", "-mavx2", "-mfma"], "avx2": ["-mavx2", "-mfma"], **VARIANTS}
# object -> its source and its own flags
OBJECTS = {variant: ("variant.cpp", [*flags, f"-DOSTINATO_VARIANT={variant}"]) for variant, flags in VARIANTS.items()}
OBJECTS |= {"schedule": ("schedule.cpp", []), "interface": ("interface.cpp", [])}


class BuildKernel(build_ext):
    """Compiles what changed since the last build, in parallel."""

    def initialize_options(self) -> None:
        super().initialize_options()
        self.build_temp = "build/kernel"  # pip deletes its own after an editable install

    def get_ext_filename(self, fullname: str) -> str:
        return os.path.join(*fullname.split(".")) + LIBRARY.suffix  # without the Python version: it fits any Python

    def build_extension(self, ext: Extension) -> None:
        target = Path(self.get_ext_fullpath(ext.name))
        try:
            built = build_kernel(Path(self.build_temp))
        except CompileError:  # a warning, because the extension is optional
            if self.editable_mode:
                LIBRARY.unlink(missing_ok=True)  # so that no older library stays in use
            raise
        self.mkpath(str(target.parent))
        self.copy_file(str(built), str(target))


class AnyPython(bdist_wheel):
    def get_tag(self) -> tuple[str, str, str]:
        return "py3", "none", super().get_tag()[2]


def build_kernel(folder: Path) -> Path:
    """Compile the library into `folder`. A digest next to each file tells whether it is up to date.

    Raises:
        CompileError: no compiler was found, or it failed.
    """
    if sys.platform == "win32":
        raise CompileError("The native kernel does not build on Windows. Layers run on the torch engine.")
    compiler = find_compiler()
    flags = [*FLAGS, *shlex.split(os.environ.get("CXXFLAGS", ""))]
    folder.mkdir(parents=True, exist_ok=True)
    headers = b"".join(path.read_bytes() for path in sorted(SOURCES.glob("*.h")))

    def compile_object(name: str) -> Path:
        source, own_flags = OBJECTS[name]
        made = folder / f"{name}.o"
        make(
            made,
            [*compiler, *flags, *own_flags, "-c", str(SOURCES / source)],
            headers + (SOURCES / source).read_bytes(),
        )
        return made

    with ThreadPoolExecutor(os.cpu_count()) as workers:
        objects = list(workers.map(compile_object, OBJECTS))
    library = folder / LIBRARY.name
    system = ["-ldl"] if sys.platform == "linux" else []
    make(
        library,
        [*compiler, *flags, "-shared", *map(str, objects), *system, "-pthread"],
        b"".join(path.read_bytes() for path in objects),
    )
    return library


def find_compiler() -> list[str]:
    """The command that runs the C++ compiler."""
    command = (
        shlex.split(os.environ.get("CXX", "")) or [name for name in ("c++", "g++", "clang++") if shutil.which(name)][:1]
    )
    if not command or not shutil.which(command[0]):
        problem = f"CXX={command[0]} was not found" if command else "no C++ compiler was found"
        raise CompileError(
            f"{problem}: the native kernel was not built, and layers run on the torch engine. "
            "Install g++ or clang, then install Ostinato again."
        )
    return command


def make(target: Path, command: list[str], contents: bytes) -> None:
    """Run a command that writes `target`, unless the same command already wrote it from the same contents."""
    digest = hashlib.sha256(repr(command).encode() + contents).hexdigest()
    record = target.with_suffix(target.suffix + ".sha256")
    if target.exists() and record.exists() and record.read_text() == digest:
        return
    record.unlink(missing_ok=True)
    print(shlex.join([*command, "-o", str(target)]), flush=True)
    done = subprocess.run([*command, "-o", str(target)])
    if done.returncode:
        raise CompileError(
            f"{command[0]} failed with status {done.returncode}: the native kernel was not built, and layers run on "
            "the torch engine."
        )
    record.write_text(digest)


kernel = Extension(
    "ostinato.nn.kernel.libostinato",
    sources=sorted(map(str, SOURCES.glob("*.cpp"))),
    depends=sorted(map(str, SOURCES.glob("*.h"))),
    language="c++",
    optional=True,
)
setup(ext_modules=[kernel], cmdclass={"build_ext": BuildKernel, "bdist_wheel": AnyPython})
