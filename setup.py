"""Builds the native kernel, a plain C library, next to its binding; everything else is in pyproject.toml.

The library depends on neither Python nor torch, so one wheel serves every Python on its platform. Without a C++
compiler the install still succeeds, and layers run on the torch engine. CXX and CXXFLAGS choose compiler and flags.
What is built follows from the compiler's target, so a cross compiler builds the kernel for another machine:
libostinato.so on Linux, .dylib on macOS, .dll on Windows.
"""

import hashlib
import os
import shlex
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext
from setuptools.errors import CompileError

SOURCES = Path("ostinato/nn/kernel/src")
FLAGS = ["-O3", "-std=c++17", "-fPIC", "-fvisibility=hidden", "-fno-math-errno", "-ffp-contract=off"]
X86_VARIANTS = {
    "avx512": ["-mavx512f", "-mavx2", "-mfma"],
    "avx2": ["-mavx2", "-mfma"],
    "portable": ["-O2"],  # for processors from before 2013: as fast as with -O3, and compiled in two thirds of the time
}
AVX512BF16 = [*X86_VARIANTS["avx512"], "-mavx512bw", "-mavx512vl", "-mavx512bf16"]
BFLOAT16_VARIANTS = {"avx512bf16": AVX512BF16, "amx": [*AVX512BF16, "-mamx-tile", "-mamx-bf16"]}
SUFFIXES = {"linux": ".so", "darwin": ".dylib", "win32": ".dll"}  # by sys.platform


class BuildKernel(build_ext):
    """Compiles what changed since the last build, in parallel."""

    def initialize_options(self) -> None:
        super().initialize_options()
        self.build_temp = "build/kernel"  # pip deletes its own after an editable install

    def get_ext_filename(self, fullname: str) -> str:
        return os.path.join(*fullname.split(".")) + suffix()  # without the Python version: it fits any Python

    def build_extension(self, ext: Extension) -> None:
        target = Path(self.get_ext_fullpath(ext.name))
        try:
            built = build_kernel(Path(self.build_temp))
        except CompileError:  # a warning, because the extension is optional
            if self.editable_mode:
                SOURCES.with_name("libostinato" + suffix()).unlink(missing_ok=True)  # no older library stays in use
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
    command = compiler()
    variants = X86_VARIANTS if "__x86_64__" in predefined() else {"portable": []}
    is_linux = "__linux__" in predefined()  # which must permit AMX
    mixed = {
        name: flags
        for name, flags in BFLOAT16_VARIANTS.items()
        if "__x86_64__" in predefined() and (is_linux or name != "amx") and accepts(*flags)
    }
    defined = [f"-DOSTINATO_{name.upper()}" for name in mixed]
    folder.mkdir(parents=True, exist_ok=True)
    headers = b"".join(path.read_bytes() for path in sorted(SOURCES.glob("*.h")))

    def compile_object(name: str, source: str, *own_flags: str) -> Path:
        made = folder / f"{name}.o"
        contents = headers + (SOURCES / source).read_bytes()
        make(made, [*command, *own_flags, "-c", str(SOURCES / source)], contents)
        return made

    with ThreadPoolExecutor(os.cpu_count()) as workers:
        jobs = [
            workers.submit(compile_object, name, "variant.cpp", *flags, f"-DOSTINATO_VARIANT={name}")
            for name, flags in variants.items()
        ]
        jobs += [
            workers.submit(compile_object, name, "mixed.cpp", *flags, *defined, f"-DOSTINATO_VARIANT={name}")
            for name, flags in mixed.items()
        ]
        jobs += [workers.submit(compile_object, name, f"{name}.cpp", *defined) for name in ("schedule", "interface")]
        objects = [job.result() for job in jobs]
    library = folder / f"libostinato{suffix()}"
    system = {".so": ["-ldl", "-pthread"], ".dylib": ["-pthread"], ".dll": ["-static"]}[suffix()]
    make(library, [*command, "-shared", *map(str, objects), *system], b"".join(path.read_bytes() for path in objects))
    return library


@cache
def compiler() -> tuple[str, ...]:
    """The command that runs the C++ compiler, with the flags that are common to all files.

    Raises:
        CompileError: no compiler was found.
    """
    return (*find_compiler(), *FLAGS, *shlex.split(os.environ.get("CXXFLAGS", "")))


@cache
def predefined() -> frozenset[str]:
    """The macros that the compiler predefines, which tell its target.

    Raises:
        CompileError: no compiler was found, or it failed.
    """
    command = [*compiler(), "-dM", "-E", "-x", "c++", "-"]
    done = subprocess.run(command, input="", capture_output=True, text=True)
    if done.returncode:
        raise CompileError(f"{shlex.join(command)} failed: {done.stderr}")
    return frozenset(line.split()[1] for line in done.stdout.splitlines() if line.startswith("#define "))


@cache
def accepts(*flags: str) -> bool:
    """Whether the compiler knows the flags. AVX512_BF16 came with GCC 10 and Clang 9, AMX with GCC 11 and Clang 12."""
    command = [*compiler(), *flags, "-E", "-x", "c++", "-"]
    return subprocess.run(command, input="", capture_output=True, text=True).returncode == 0


@cache
def suffix() -> str:
    """The library's suffix on the compiler's target, or on this system without a compiler."""
    try:
        macros = predefined()
    except CompileError:
        return SUFFIXES.get(sys.platform, ".so")
    return ".dll" if "_WIN32" in macros else ".dylib" if "__APPLE__" in macros else ".so"


def find_compiler() -> list[str]:
    """The command that runs the C++ compiler.

    Raises:
        CompileError: no compiler was found.
    """
    # On Windows the kernel needs a Clang for MinGW, such as `python -m ziglang c++`: GCC misaligns vectors on the stack
    # there (bug 54412). Only CXX chooses it.
    names = () if sys.platform == "win32" else ("c++", "g++", "clang++")
    command = shlex.split(os.environ.get("CXX", "")) or [name for name in names if shutil.which(name)][:1]
    if not command or not shutil.which(command[0]):
        problem = f"CXX={command[0]} was not found" if command else "no C++ compiler was found"
        raise CompileError(
            f"{problem}: the native kernel was not built, and layers run on the torch engine. "
            "Install g++ or clang (on Windows: ziglang, and set CXX), then install Ostinato again."
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
