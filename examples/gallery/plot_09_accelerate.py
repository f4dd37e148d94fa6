"""Speed up an existing PyTorch model
==================================

`ostinato.accelerate` swaps the recurrent layers of a model in place, checks outputs and gradients on an example batch,
times both, and keeps the faster ones.
"""

# %%
# A model as many people have it
# ------------------------------

import copy
import time

import matplotlib.pyplot as plt
import torch
from torch import nn

import ostinato


class Tagger(nn.Module):
    """Embedding, bidirectional LSTM, GRU, output layer."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(1000, 32)
        self.encoder = nn.LSTM(32, 64, bidirectional=True, batch_first=True)
        self.decoder = nn.GRU(128, 64, batch_first=True)
        self.head = nn.Linear(64, 5)

    def forward(self, tokens):
        hidden, _ = self.encoder(self.embedding(tokens))
        hidden, _ = self.decoder(hidden)
        return self.head(hidden)


torch.manual_seed(0)
model = Tagger()
before = copy.deepcopy(model)
tokens = torch.randint(0, 1000, (32, 60))

# %%
# One line
# --------

report = ostinato.accelerate(model, tokens)
print(report)

# %%
# The parameters are the same objects, so optimizers and state dicts keep working. The outputs agree to float rounding:

print(f"largest difference {(model(tokens) - before(tokens)).abs().max().item():.1e}")
print("same state dict:", list(model.state_dict()) == list(before.state_dict()))

# %%
# Batches of unequal lengths
# --------------------------
# Packed sequences are the usual way, with a backward that costs time quadratic in the longest length. The drop-in
# layers take lengths. This times forward and backward of one layer, on whatever machine builds this page.


def milliseconds(work, rounds=3):
    """The best of some rounds."""
    best = float("inf")
    for _ in range(rounds):
        start = time.perf_counter()
        work().sum().backward()
        best = min(best, time.perf_counter() - start)
    return 1000 * best


theirs = nn.LSTM(32, 64, batch_first=True)
ours = ostinato.nn.LSTM(32, 64, batch_first=True)
ours.load_state_dict(theirs.state_dict())
longest = (100, 200, 400, 800)
timed = {"nn.LSTM, packed": [], "ostinato.nn.LSTM, lengths": []}
for steps in longest:
    lengths = torch.linspace(steps // 8, steps, 16).long()
    x = torch.randn(16, steps, 32)

    def packed(x=x, lengths=lengths):
        batch = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        return theirs(batch)[0].data

    timed["nn.LSTM, packed"].append(milliseconds(packed) / int(lengths.sum()) * 1000)
    timed["ostinato.nn.LSTM, lengths"].append(
        milliseconds(lambda x=x, lengths=lengths: ours(x, lengths=lengths)[0]) / int(lengths.sum()) * 1000
    )

# %%
for name, values in timed.items():
    plt.plot(longest, values, "o-", label=name)
plt.xlabel("longest sequence of the batch, in steps")
plt.ylabel("µs per step, forward and backward")
plt.ylim(0)
plt.legend()
plt.show()
