"""A plain FastAPI service: one request at a time through torch.nn or ONNX Runtime, as one would write it by hand.

    python benchmarks/serving_plain.py torch RUN
    python benchmarks/serving_plain.py onnx FILE.onnx

The tokenizer is Ostinato's. The endpoint is a `def`, so FastAPI calls it in its threads.
"""

import argparse
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from torch import Tensor, nn

MODEL, KIND = "PLAIN_MODEL", "PLAIN_KIND"


class Body(BaseModel):
    input: str


class Plain(nn.Module):
    """The network of a run in torch.nn, for one sequence."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.embed = nn.Embedding.from_pretrained(network.embed.weight.detach().clone())
        kinds = {"lstm": nn.LSTM, "gru": nn.GRU}
        self.layers = nn.ModuleList()
        for layer in network.stack.layers:
            kind = kinds[layer.cell.name]
            ours = kind(layer.input_size, layer.hidden_size, batch_first=True, bidirectional=layer.bidirectional)
            ours.load_state_dict(layer.state_dict())
            self.layers.append(ours)
        self.poolings, self.head, self.temperature = network.pooling.poolings, network.head, network.temperature

    def forward(self, tokens: Tensor) -> Tensor:
        """(T,) token ids -> probabilities (C,)."""
        states = self.embed(tokens).unsqueeze(0)
        for layer in self.layers:
            states, _ = layer(states)
        pooled = torch.cat([self._pool(name, states[0]) for name in self.poolings])
        return torch.softmax(nn.functional.linear(pooled, self.head.weight, self.head.bias) / self.temperature, 0)

    def _pool(self, name: str, states: Tensor) -> Tensor:
        if name == "mean":
            return states.mean(0)
        if name == "max":
            return states.amax(0)
        pooling = self.poolings["attention"]
        projected = torch.tanh(nn.functional.linear(states, pooling.project.weight, pooling.project.bias))
        weights = torch.softmax(nn.functional.linear(projected, pooling.score.weight).squeeze(1), 0)
        return weights @ states


def with_torch(path: Path) -> Callable[[str], dict[str, Any]]:
    from ostinato.tasks.model_file import load_model

    model = load_model(path)
    network, labels = Plain(model.network).eval(), [str(label) for label in model.codec.labels]

    @torch.inference_mode()
    def answer(text: str) -> dict[str, Any]:
        found = network(model.encoder.encode([text]).values.long()).tolist()
        probabilities = {label: round(each, 6) for label, each in zip(labels, found, strict=True)}
        return {"label": max(probabilities, key=lambda label: probabilities[label]), "probabilities": probabilities}

    return answer


def with_onnx(path: Path) -> Callable[[str], dict[str, Any]]:
    from ostinato.export import Runner

    runner = Runner(path)
    return lambda text: runner.answers([text])[0]


KINDS = {"torch": with_torch, "onnx": with_onnx}


def create_app() -> FastAPI:
    """The service of the model that the environment names."""
    answer = KINDS[os.environ[KIND]](Path(os.environ[MODEL]))
    app = FastAPI()

    @app.post("/predict")
    def predict(body: Body) -> dict[str, Any]:
        return {"answer": answer(body.input)}

    return app


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("model", type=Path)
    parser.add_argument("--workers", type=int, default=1)
    arguments = parser.parse_args()
    os.environ[KIND], os.environ[MODEL] = arguments.kind, str(arguments.model)
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    print(f"Serving at http://127.0.0.1:{port}", flush=True)
    options: dict[str, Any] = {
        "factory": True,
        "access_log": False,
        "log_level": "error",
        "app_dir": Path(__file__).parent,
    }
    uvicorn.run("serving_plain:create_app", port=port, workers=arguments.workers, **options)


if __name__ == "__main__":
    main()
