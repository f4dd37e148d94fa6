"""Building the kernel: with a compiler that records its arguments, without one, and what the real one compiled."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[3]
KERNEL = Path("ostinato/nn/kernel")

if not (ROOT / "setup.py").exists():
    pytest.skip("these tests need the sources", allow_module_level=True)
pytest.importorskip("setuptools")
ON_X86 = {"avx512bf16", "avx512", "avx2", "portable"}
WITH_OPTIONAL_INSTRUCTIONS = {"amx", *ON_X86} - {"portable"}

RECORDER = """#!/bin/sh
case "$*" in
*-dM*) exec cat macros;;
*" -mamx-bf16 -E "*) exec test -e knows_amx;;
*" -mavx512bf16 -E "*) exec test -e knows_bfloat16;;
esac
echo "$@" >> commands
while [ "$1" != -o ]; do shift; done
echo made > "$2"
"""


@pytest.fixture
def project(tmp_path):
    """A copy of the files that the build reads, and a compiler that records its arguments."""
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / KERNEL / "src", tmp_path / KERNEL / "src")
    for package in (KERNEL, KERNEL.parent, KERNEL.parent.parent):
        (tmp_path / package / "__init__.py").touch()
    (tmp_path / "compiler").write_text(RECORDER)
    (tmp_path / "compiler").chmod(0o755)
    predefine(tmp_path, "__x86_64__", "__linux__")
    (tmp_path / "knows_amx").touch()
    (tmp_path / "knows_bfloat16").touch()
    return tmp_path


def predefine(project, *macros):
    """Let the compiler's target be one with these macros."""
    (project / "macros").write_text("".join(f"#define {macro} 1\n" for macro in macros))


def build(project, *command, compiler="./compiler", flags=""):
    """Run setup.py. Returns its error output and the arguments of each call of the compiler."""
    (project / "commands").unlink(missing_ok=True)
    environment = os.environ | {"CXX": str(project / compiler), "CXXFLAGS": flags}
    done = subprocess.run(
        [sys.executable, "setup.py", *command], cwd=project, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stderr, [line.split() for line in (project / "commands").read_text().splitlines()] if (
        project / "commands"
    ).exists() else []


@pytest.mark.skipif(sys.platform == "win32", reason="the compiler that records is a shell script")
def test_wheel_fits_any_python_and_contains_the_library_without_its_sources(project):
    _, commands = build(project, "bdist_wheel", flags="-g -Dmine")
    (wheel,) = (project / "dist").glob("*.whl")
    assert "-py3-none-" in wheel.name and not wheel.name.endswith("-any.whl")
    names = ZipFile(wheel).namelist()
    assert [Path(name).stem for name in names if name.startswith(str(KERNEL)) and not name.endswith(".py")] == [
        "libostinato"
    ]
    assert all("-Dmine" in command and not any(flag.startswith("-march") for flag in command) for command in commands)
    for command in commands:  # code that every machine runs uses no optional instruction set
        variant = next((flag.partition("=")[2] for flag in command if flag.startswith("-DOSTINATO_VARIANT=")), None)
        assert any(flag.startswith(("-mavx", "-mfma")) for flag in command) == (variant in WITH_OPTIONAL_INSTRUCTIONS)


@pytest.mark.skipif(sys.platform == "win32", reason="the compiler that records is a shell script")
def test_only_what_changed_is_compiled_again(project):
    def made():
        return {Path(command[command.index("-o") + 1]).stem for command in build(project, "build_ext", "--inplace")[1]}

    everything = made()
    assert {"portable", "schedule", "interface", "libostinato"} <= everything
    assert (project / KERNEL / "src" / "interface.h").exists() and list((project / KERNEL).glob("libostinato.*"))
    assert not made()
    with (project / KERNEL / "src" / "interface.cpp").open("a") as source:
        source.write("// changed")
    assert made() == {"interface"}  # the recorder's objects are all equal, so there is nothing new to link
    with (project / KERNEL / "src" / "tiles.h").open("a") as header:
        header.write("// changed")
    assert made() == everything - {"libostinato"}


@pytest.mark.skipif(sys.platform == "win32", reason="the compiler that records is a shell script")
@pytest.mark.parametrize(
    ("macros", "library", "variants", "flags"),
    [
        (("__x86_64__", "__linux__"), "libostinato.so", {"amx", *ON_X86}, {"-ldl", "-pthread"}),
        (("__aarch64__", "__linux__"), "libostinato.so", {"portable"}, {"-ldl", "-pthread"}),
        (("__aarch64__", "__APPLE__"), "libostinato.dylib", {"portable"}, {"-pthread"}),
        (("__x86_64__", "_WIN32"), "libostinato.dll", ON_X86, {"-static"}),
    ],
)
def test_the_compiler_s_target_decides_what_is_built(project, macros, library, variants, flags):
    predefine(project, *macros)
    _, commands = build(project, "build_ext", "--build-lib", "out")
    assert [path.name for path in (project / "out").rglob("libostinato*")] == [library]
    defined = {flag.partition("=")[2] for command in commands for flag in command if "OSTINATO_VARIANT" in flag}
    assert defined == variants
    (link,) = [command for command in commands if "-shared" in command]
    assert {flag for flag in link if flag in ("-ldl", "-pthread", "-static")} == flags


@pytest.mark.skipif(sys.platform == "win32", reason="the compiler that records is a shell script")
@pytest.mark.parametrize(("unknown", "built"), [(["amx"], "avx512bf16"), (["amx", "bfloat16"], "avx512")])
def test_a_compiler_that_knows_fewer_instructions_builds_the_rest(project, unknown, built):
    for name in unknown:
        (project / f"knows_{name}").unlink()
    _, commands = build(project, "build_ext", "--build-lib", "out")
    flags = {flag for command in commands for flag in command}
    assert f"-DOSTINATO_VARIANT={built}" in flags and not any("amx" in flag.lower() for flag in flags)
    assert ("-DOSTINATO_AVX512BF16" in flags) == (built == "avx512bf16")


def test_without_a_compiler_the_build_succeeds_and_says_so(project):
    warnings, _ = build(project, "bdist_wheel", compiler="missing")
    assert "missing was not found" in warnings and "torch engine" in warnings
    (wheel,) = (project / "dist").glob("*.whl")
    assert not any("libostinato" in name for name in ZipFile(wheel).namelist())


@pytest.mark.skipif(
    not shutil.which("nm") or not list(ROOT.glob("build/kernel/a[mv]x*.o")), reason="no objects to look at, or no nm"
)
def test_code_for_one_instruction_set_is_never_shared():
    for compiled in ROOT.glob("build/kernel/a[mv]x*.o"):
        symbols = subprocess.run(
            ["nm", "--defined-only", "--extern-only", compiled], capture_output=True, text=True, check=True
        ).stdout
        # Clang's helper only calls std::terminate
        kinds = {line.split()[-2] for line in symbols.splitlines() if not line.endswith(" __clang_call_terminate")}
        assert not kinds & {"T", "W", "i"}, (
            f"the linker may use code of {compiled.name} on any machine:\n{symbols}"
        )  # functions, weak ones included
