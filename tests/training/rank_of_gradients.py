"""What each of two processes of a test does: adds up gradients, and compares them with the sums of whole tensors."""

import os

import torch
from torch import distributed, nn

from ostinato.training.ranks import LARGE_TABLE, joined_ranks

ROWS = {  # of a table of LARGE_TABLE rows, by rank: those with a gradient; None: it has none
    "few rows": ([0, 7, 9], [7, 4000]),
    "most rows": (range(3000), range(1000, LARGE_TABLE)),
    "no row on one": ([], [5]),
    "no gradient on one": (None, [5, 6]),
    "no gradient": (None, None),
    "NaN": ([1, 2], [2]),
}


def table_of(name, rank):
    table, rows = nn.Parameter(torch.zeros(LARGE_TABLE, 3)), ROWS[name][rank]
    if rows is not None:
        table.grad = torch.zeros(LARGE_TABLE, 3)
        table.grad[list(rows)] = torch.randn(len(rows), 3)
        if name == "NaN" and rank == 1:
            table.grad[2] = torch.nan
    return table


def main():
    with joined_ranks(os.environ) as ranks:
        torch.manual_seed(ranks.rank)
        dense = nn.Parameter(torch.zeros(5, 4))
        dense.grad = torch.randn(5, 4)
        tables = {name: table_of(name, ranks.rank) for name in ROWS}
        expected = {}
        for name, parameter in {**tables, "dense": dense}.items():
            expected[name] = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad.clone()
            distributed.all_reduce(expected[name])
        assert ranks.add_gradients([*tables.values(), dense], loss=1.5 + ranks.rank) == 4.0
        assert tables.pop("no gradient").grad is None
        for name, parameter in {**tables, "dense": dense}.items():
            assert torch.equal(parameter.grad.nan_to_num(1e30), expected[name].nan_to_num(1e30)), name
        assert tables["NaN"].grad[2].isnan().all()


if __name__ == "__main__":
    main()
