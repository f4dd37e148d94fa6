"""Gradients of several ranks: their sums, whichever rows of a table are exchanged."""

from pathlib import Path

from torchrun import torchrun

DEADLINE_S = 60


def test_gradients_are_summed_also_where_only_some_rows_are_exchanged():
    process = torchrun(2, Path(__file__).with_name("rank_of_gradients.py"))
    try:
        printed, _ = process.communicate(timeout=DEADLINE_S)
    finally:
        process.kill()
    assert process.returncode == 0, printed
