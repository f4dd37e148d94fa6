"""The kernel with threads and processes; the same for every instruction set."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from cases import GATES, WIDE, Case, assert_same_bits, draw, native

from ostinato.nn import kernel

if not kernel.is_built():
    pytest.skip("the kernel was not compiled", allow_module_level=True)


def test_concurrent_python_threads_get_correct_results(threads):
    threads(2)
    work = [replace(WIDE, cell=cell, seed=seed) for seed in range(3) for cell in GATES]
    expected = [native(case, draw(case)).tensors for case in work]
    with ThreadPoolExecutor(6) as executor:
        for answer, right in zip(executor.map(lambda case: native(case, draw(case)), work), expected, strict=True):
            assert_same_bits(answer.tensors, right)


TEAMS = [  # fewer lanes than threads, so that threads divide the units of each
    Case(hidden_size=230, lengths=(170,), states=True),
    Case(hidden_size=230, num_layers=2, lengths=(60, 170), order="batch_first", padding=2),
    Case(hidden_size=230, bidirectional=True, lengths=(150, 0, 151), states=True, table_rows=9),
    Case(hidden_size=230, lengths=(0,), states=True),
]


@pytest.mark.parametrize("cell", GATES)
@pytest.mark.parametrize("case", TEAMS, ids=range(len(TEAMS)))
def test_a_team_computes_the_bits_of_one_thread(threads, variant, cell, case):
    case = replace(case, cell=cell)
    threads(1)
    expected = native(case, draw(case)).tensors
    for count in (2, 3, 8):
        threads(count)
        assert_same_bits(native(case, draw(case)).tensors, expected)


def run_program(*lines):
    """Run lines of Python that compute `WIDE` with `run()`, as a program with two threads; it must not hang."""
    program = [
        "import os, signal, torch",
        "from cases import Case, assert_same_bits, draw",
        "from ostinato.nn import kernel",
        "torch.set_num_threads(2)",
        f"case = {WIDE!r}",
        "inputs, lengths = draw(case).to(torch.float32), torch.tensor(case.lengths)",
        "def run():",
        "    outputs = kernel.recurrent(case.spec, inputs.x, None, lengths, inputs.h0, inputs.c0, inputs.weights)",
        "    return [*outputs, *torch.autograd.grad(outputs, inputs.leaves, inputs.upstream)]",
        *lines,
    ]
    path = os.pathsep.join([os.path.dirname(__file__), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(program)],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_gets_the_bits_of_the_parent_on_its_own_threads():
    printed = run_program(
        "def run_in_child(expected=None):",
        "    child = os.fork()",
        "    if child == 0:",
        "        signal.alarm(30)  # ends a child that hangs",
        "        got = run()",
        "        torch.set_num_threads(1)  # torch's operations would wait for threads that the child does not have",
        "        assert_same_bits(got, expected or got)",
        "        print(kernel.pool(), flush=True)",
        "        os._exit(0)",
        "    assert os.waitpid(child, 0)[1] == 0",
        "torch.randn(1_000_000).exp()  # torch's pool has threads, and the kernel was not used yet",
        "run_in_child()",
        "expected = run()",
        "print(kernel.pool(), flush=True)",
        "run_in_child(expected)",
        "assert_same_bits(run(), expected)",
        "print(kernel.pool())",
    )
    assert printed == ["threads", kernel.pool()] * 2


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="threads cannot be confined to a core here")
def test_threads_on_a_single_core_give_the_same_bits():
    run_program(
        "torch.set_num_threads(1)",
        "expected = run()",
        "os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})",
        "for count in (2, 8):",
        "    torch.set_num_threads(count)",
        "    assert_same_bits(run(), expected)",
    )


@pytest.mark.parametrize("is_flushing", [False, True])
def test_a_call_leaves_the_treatment_of_denormals_of_every_thread_as_it_was(is_flushing):
    kept = run_program(
        f"torch.set_flush_denormal({is_flushing})  # before torch's pool starts: its threads inherit it",
        "tiny = torch.full((1_000_000,), 1e-39)",
        "run()",
        "print(int((tiny.mul(1) != 0).sum()))",
    )
    assert kept == ["0" if is_flushing else "1000000"]
