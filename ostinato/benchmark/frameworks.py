"""Models in ONNX Runtime and in Keras on JAX."""

import copy
import importlib.util
import io
import os
import warnings
from collections.abc import Callable

import torch
from torch import Tensor, nn

from ostinato.benchmark.textbook import AttentionGRU
from ostinato.benchmark.timing import Side
from ostinato.errors import MissingExtraError


def optional(build: Callable[[], Side]) -> Side | None:
    """The side that `build` returns, or None if its package is not installed."""
    try:
        return build()
    except MissingExtraError:
        return None


def require(package: str) -> None:
    """Check that a package of the extra `bench` is installed.

    Raises:
        MissingExtraError: it is not.
    """
    if importlib.util.find_spec(package) is None:
        raise MissingExtraError(package, "bench", "This benchmark")


def onnx_session(module: nn.Module, example: Tensor) -> Callable[[Tensor], Tensor]:
    """The module in ONNX Runtime, for inputs of the example's shape, with as many threads as PyTorch uses.

    Raises:
        MissingExtraError: onnx or onnxruntime is not installed.
    """
    require("onnx")
    require("onnxruntime")
    import onnxruntime

    file = io.BytesIO()
    names = {"input_names": ["x"], "output_names": ["y"]}
    with warnings.catch_warnings():
        # Only the older exporter (dynamo=False) writes ONNX's LSTM and GRU; it warns that it is old, and that the
        # shape is fixed.
        warnings.simplefilter("ignore")
        evaluated = copy.deepcopy(module).eval()
        torch.onnx.export(evaluated, (example,), file, dynamo=False, **names)  # type: ignore[arg-type]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(file.getvalue(), options, providers=["CPUExecutionProvider"])
    return lambda x: torch.from_numpy(session.run(["y"], {"x": x.numpy()})[0])


def keras_step(reference: AttentionGRU, ids: Tensor, targets: Tensor) -> Side:
    """The training step of an `AttentionGRU` in Keras on JAX, compiled: `train_on_batch`.

    Raises:
        MissingExtraError: keras or jax is not installed.
    """
    require("jax")
    require("keras")
    os.environ["KERAS_BACKEND"] = "jax"  # Keras reads it when it is first imported
    import jax
    import keras

    inputs = keras.Input(shape=ids.shape[1:], dtype="int32")
    x = keras.layers.Embedding(*reference.embedding.weight.shape)(inputs)
    gru = keras.layers.GRU(reference.gru.hidden_size, return_sequences=True, reset_after=True)
    h = keras.layers.Bidirectional(gru)(x)
    scores = keras.layers.Dense(1, use_bias=False)(keras.layers.Dense(h.shape[-1], activation="tanh")(h))
    pooled = keras.ops.sum(keras.ops.softmax(scores, axis=1) * h, axis=1)  # (B, T, H) -> (B, H)
    model = keras.Model(inputs, keras.layers.Dense(2)(pooled))
    model.set_weights([weight.numpy() for weight in keras_weights(reference)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=keras.optimizers.Adam(1e-3), loss=loss, jit_compile=True)
    tokens, labels = ids.int().numpy(), targets.int().numpy()

    def answer() -> list[Tensor]:
        """Logits, and the gradient of the embedding, which depends on all other gradients."""
        trained = [variable.value for variable in model.trainable_variables]
        fixed = [variable.value for variable in model.non_trainable_variables]
        gradient = jax.grad(lambda weights: loss(labels, model.stateless_call(weights, fixed, tokens)[0]))(trained)[0]
        logits = model.stateless_call(trained, fixed, tokens)[0]
        return [torch.tensor(array.__array__()) for array in (logits, gradient)]

    return Side(lambda: model.train_on_batch(tokens, labels), answer, ids.numel())


def keras_weights(reference: AttentionGRU) -> list[Tensor]:
    """The weights in Keras's layout: transposed, gates z, r, n instead of r, z, n, and both biases in one tensor."""
    gru = reference.gru

    def reordered(weight: Tensor) -> Tensor:
        r, z, n = weight.detach().chunk(3)
        return torch.cat([z, r, n])

    weights = [reference.embedding.weight.detach()]
    for suffix in ("l0", "l0_reverse"):
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        weight_ih, weight_hh, bias_ih, bias_hh = (reordered(getattr(gru, f"{name}_{suffix}")) for name in names)
        weights += [weight_ih.T, weight_hh.T, torch.stack([bias_ih, bias_hh])]
    project, score, head = reference.project, reference.score, reference.head
    linear = (project.weight.T, project.bias, score.weight.T, head.weight.T, head.bias)
    return [*weights, *(weight.detach() for weight in linear)]
