"""Parity with as much data as a cell wants: which cells can learn it, and hold it at lengths never trained.

    python benchmarks/parity.py                 the table of docs/which-cell.md, some minutes on one core
    python benchmarks/parity.py mingru lstm     some cells

Every cell has 16 units, on embeddings of 8 numbers, and is read at the last step. A step of training draws 32 strings
of one length from 2 to 12, all strings alike; there are 1,500 steps of Adam at a rate of 0.01. Prints how many of 1,000
strings of each length have the right parity, and writes all of it to results/parity.json.
"""

import json
import sys
from pathlib import Path

import torch
from torch import nn

from ostinato.nn import Layout, RecurrentLayer
from ostinato.storage import write_atomically

RESULTS = Path(__file__).parent / "results" / "parity.json"
CELLS = ("rnn_tanh", "lstm", "gru", "mingru", "minlstm", "mingru_signed", "minlstm_signed", "rglru", "lru", "slstm")
SEEDS = range(5)
LENGTHS = (12, 20, 50, 200)
EMBEDDING_SIZE, HIDDEN_SIZE, BATCH_SIZE, STEPS, LR = 8, 16, 32, 1500, 0.01


class Parity(nn.Module):
    """Logits of even and odd for strings of bits of one length. (B, T) -> (B, 2)."""

    def __init__(self, cell: str) -> None:
        super().__init__()
        self.embed = nn.Embedding(2, EMBEDDING_SIZE)
        self.layer = RecurrentLayer(EMBEDDING_SIZE, HIDDEN_SIZE, cell=cell)
        self.head = nn.Linear(HIDDEN_SIZE, 2)

    def forward(self, bits: torch.Tensor) -> torch.Tensor:
        B, T = bits.shape
        h = self.layer(self.embed(bits.flatten()), Layout(torch.full((B,), T)))  # (B·T, D) -> (B·T, H)
        return self.head(h.view(B, T, -1)[:, -1])


def trained(cell: str, seed: int) -> Parity:
    """A model after all steps."""
    torch.manual_seed(seed)
    model = Parity(cell)
    optimizer = torch.optim.Adam(model.parameters(), lr=LR)
    for _ in range(STEPS):
        bits = torch.randint(2, (BATCH_SIZE, int(torch.randint(2, 13, ()))))
        loss = nn.functional.cross_entropy(model(bits), bits.sum(1) % 2)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    return model


@torch.inference_mode()
def accuracy(model: Parity, length: int) -> float:
    """The share of 1,000 random strings whose parity is right."""
    bits = torch.randint(2, (1000, length))
    return float((model(bits).argmax(1) == bits.sum(1) % 2).double().mean())


def main(cells: tuple[str, ...]) -> None:
    torch.set_num_threads(1)
    print(f"{'cell':<16}" + "".join(f"{f'length {length}':>30}" for length in LENGTHS), flush=True)
    record = {}
    for cell in cells:
        models = [trained(cell, seed) for seed in SEEDS]
        record[cell] = {str(length): [accuracy(model, length) for model in models] for length in LENGTHS}
        columns = (" ".join(f"{each:.3f}" for each in row) for row in record[cell].values())
        print(f"{cell:<16}" + "".join(f"{column:>30}" for column in columns), flush=True)
    if cells == CELLS:
        write_atomically(RESULTS, json.dumps({"torch": torch.__version__, "accuracy": record}, indent=1) + "\n")


if __name__ == "__main__":
    main(tuple(sys.argv[1:]) or CELLS)
