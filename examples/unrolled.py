"""The recurrence step by step, with `torch.nn.RNNCell`: what a layer does, in the open.

One string, one state of four numbers. After each symbol the new state is tanh(W_ih x + b_ih + W_hh h + b_hh);
the last state is all that is left of the string, and a linear head would read it.
"""

import torch
from torch import nn

from ostinato.nn import Layout, RecurrentLayer


def main() -> float:
    torch.manual_seed(0)
    cell = nn.RNNCell(input_size=2, hidden_size=4)
    symbols = torch.tensor([[0.0, 1.0] if symbol == "1" else [1.0, 0.0] for symbol in "11010"])  # (T, D), one-hot
    h = torch.zeros(1, 4)
    for symbol, x in zip("11010", symbols, strict=True):
        h = cell(x.unsqueeze(0), h)
        print(symbol, " ".join(f"{unit:+.3f}" for unit in h.squeeze(0).tolist()))

    layer = RecurrentLayer(2, 4, cell="rnn_tanh")  # the same, all steps in one call
    layer.load_state_dict({f"{name}_l0": tensor for name, tensor in cell.state_dict().items()})
    states = layer(symbols, Layout(torch.tensor([5])))
    difference = (states[-1] - h.squeeze(0)).abs().max().item()
    print(f"the layer's last state differs by {difference:.1e}")
    return difference


if __name__ == "__main__":
    main()
