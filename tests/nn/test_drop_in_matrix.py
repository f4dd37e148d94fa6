"""What programs may do with torch.nn's recurrent layers and cells, done to ours as well: the same results, or the same
class of error. Each use is a function from a module and an input to tensors; ours and torch.nn's run it alike.
"""

import copy
import pickle
import warnings

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations, prune
from torch.nn.utils._per_sample_grad import call_for_per_sample_grads

from ostinato import nn as ours

LAYERS, CELLS = ("LSTM", "GRU", "RNN"), ("LSTMCell", "GRUCell", "RNNCell")
D, H, B, T = 5, 7, 3, 4


def pair(kind, **options):
    """torch.nn's module and ours, with the same weights."""
    torch.manual_seed(1)
    peer, module = getattr(nn, kind)(D, H, **options), getattr(ours, kind)(D, H, **options)
    module.load_state_dict(peer.state_dict())
    return peer, module


def values(kind, *, requires_grad=True):
    return torch.randn(*(B, D) if "Cell" in kind else (T, B, D)).requires_grad_(requires_grad)


def first(results):
    """The output h of a layer or cell."""
    return results[0] if isinstance(results, tuple) else results


def flat(results):
    if isinstance(results, torch.Tensor):
        return [results]
    return [tensor for part in results for tensor in flat(part)] if isinstance(results, (tuple, list)) else []


def backward(module, x, outputs):
    """Gradients of x and all parameters from outputs times fixed factors."""
    loss = sum((output * torch.linspace(-1, 2, output.numel()).view(output.shape)).sum() for output in outputs)
    leaves = [x, *module.parameters()]
    return torch.autograd.grad(loss, leaves, allow_unused=True, materialize_grads=True)


def trained(module, x, outputs):
    return [*outputs, *backward(module, x, outputs)]


def assert_same(mine, theirs):
    assert len(mine) == len(theirs)
    for a, b in zip(mine, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=2e-4, atol=2e-5, equal_nan=True)


def outcome(use, module, x):
    """The results, or the error's class."""
    torch.manual_seed(2)
    x = x.detach().clone().requires_grad_()
    try:
        return [tensor.detach() for tensor in use(module, x)]
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        return type(error)


def compare(use, kind, **options):
    """Assert that ours equals torch.nn in this use; return torch.nn's results."""
    peer, module = pair(kind, **options)
    x = values(kind)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's, of deprecated ways that programs still use
        theirs, mine = outcome(use, peer, x), outcome(use, module, x)
    assert isinstance(mine, type) == isinstance(theirs, type), (mine, theirs)
    if isinstance(theirs, list):
        assert_same(mine, theirs)
    else:
        assert mine is theirs
    return theirs


# ---- views, hooks, parametrizations, replaced weights ----------------------------------------------------------------


def negated_input(module, x):
    return trained(module, x, flat(module(torch._neg_view(x))))


def negated_weights(module, x):
    for name, weight in list(module.named_parameters()):
        setattr(module, name, nn.Parameter(torch._neg_view(weight.detach())))
    return trained(module, x, flat(module(x)))


def negated_gradient(module, x):
    output = first(module(x))
    return torch.autograd.grad(output, [x, *module.parameters()], torch._neg_view(torch.ones_like(output)))


def imaginary_input(module, x):
    return trained(module, x, flat(module(torch.complex(x, x).conj().imag)))


def expanded_input(module, x):
    return trained(module, x, flat(module(x[..., :1, :].expand_as(x))))


def strided_input(module, x):
    return trained(module, x, flat(module(x.transpose(0, -2).contiguous().transpose(0, -2).flip(-1))))


def strided_weights(module, x):
    for name, weight in list(module.named_parameters()):
        wide = torch.stack((weight.detach(), weight.detach()), -1)
        setattr(module, name, nn.Parameter(wide[..., 0]))
    return trained(module, x, flat(module(x)))


def tied_weights(module, x):
    name = "weight_hh" if hasattr(module, "weight_hh") else "weight_hh_l0"
    setattr(module, name, getattr(module, name))
    weight = getattr(module, name)
    return trained(module, x, flat(module(x * weight.sum())))


def hooks(module, x):
    module.register_forward_pre_hook(lambda _, args: (args[0] * 2, *args[1:]))
    module.register_forward_hook(lambda _, args, results: first(results) * 3)
    return trained(module, x, flat(module(x)))


def weight_hooks(module, x):
    for weight in module.parameters():
        weight.register_hook(lambda gradient: gradient * 2)
    return trained(module, x, flat(module(x)))


def functional_call(module, x):
    replaced = {name: weight * 2 for name, weight in module.named_parameters()}
    called = flat(torch.func.functional_call(module, replaced, x))
    return trained(module, x, [*called, *flat(module(x))])


def functional_call_in_double(module, x):
    replaced = {name: weight.double() for name, weight in module.named_parameters()}
    return flat(torch.func.functional_call(module, replaced, x.double()))


def weight_norm(module, x):
    parametrizations.weight_norm(module, recurrent_weight(module))
    return trained(module, x, flat(module(x)))


def spectral_norm(module, x):
    """Evaluated as often as in torch.nn, because each time in training changes its estimate."""
    parametrizations.spectral_norm(module, recurrent_weight(module))
    for _ in range(3):
        outputs = flat(module(x))
    return trained(module, x, outputs)


def spectral_norm_in_double(module, x):
    return spectral_norm(module.double(), x.double())


def old_weight_norm(module, x):
    nn.utils.weight_norm(module, recurrent_weight(module))
    return trained(module, x, flat(module(x)))


def pruning(module, x):
    prune.l1_unstructured(module, recurrent_weight(module), 0.5)
    pruned = flat(module(x))
    prune.remove(module, recurrent_weight(module))
    return trained(module, x, [*pruned, *flat(module(x))])


def recurrent_weight(module):
    return "weight_hh" if isinstance(module, nn.RNNCellBase) else "weight_hh_l0"


def replaced_parameter(module, x):
    first_outputs = flat(module(x))
    name = recurrent_weight(module)
    setattr(module, name, nn.Parameter(getattr(module, name).detach() * 2))
    return trained(module, x, [*first_outputs, *flat(module(x))])


def wrongly_shaped_parameter(module, x):
    if type(module).__name__ == "LSTM":  # torch's own reads whatever lies in memory (2.13)
        return []
    name = recurrent_weight(module)
    setattr(module, name, nn.Parameter(torch.zeros(1, 1)))
    return flat(module(x))


def set_data(module, x):
    getattr(module, recurrent_weight(module)).data = torch.eye(H).repeat(
        getattr(module, recurrent_weight(module)).shape[0] // H, 1
    )
    return trained(module, x, flat(module(x)))


# ---- writing in place ------------------------------------------------------------------------------------------------


def written_input(module, x):
    copied = x * 1
    outputs = flat(module(copied))
    copied.mul_(2)
    return trained(module, x, outputs)


def written_weight(module, x):
    outputs = flat(module(x))
    with torch.no_grad():
        getattr(module, recurrent_weight(module).replace("hh", "ih")).mul_(2)
    return trained(module, x, outputs)


# ---- derivatives of other kinds --------------------------------------------------------------------------------------


def gradient_penalty(module, x):
    (gradient,) = torch.autograd.grad(first(module(x)).sum(), x, create_graph=True)
    return [gradient, *backward(module, x, [gradient.norm(), first(module(x)).sum()])]


def gradient_of_all_gradients(module, x):
    gradients = torch.autograd.grad(first(module(x.sin())).sin().sum(), [x, *module.parameters()], create_graph=True)
    return [*gradients, *backward(module, x, gradients)]


def hessian_product(module, x):
    return flat(torch.autograd.functional.hvp(lambda x: first(module(x)).sin().sum(), x, torch.ones_like(x)))


def double_backward_jvp(module, x):
    return flat(torch.autograd.functional.jvp(lambda x: first(module(x)), x, torch.ones_like(x)))


def gradients_batched(module, x):
    output = first(module(x))
    upstream = torch.linspace(-1, 1, 3 * output.numel()).view(3, *output.shape)
    return torch.autograd.grad(output, [x, *module.parameters()], upstream, is_grads_batched=True)


def vectorized_jacobian(module, x):
    return [torch.autograd.functional.jacobian(lambda x: first(module(x)), x, vectorize=True)]


def mapped_backward(module, x):
    output = first(module(x))
    upstream = torch.linspace(-1, 1, 3 * output.numel()).view(3, *output.shape)
    return [torch.func.vmap(lambda g: torch.autograd.grad(output, x, g, retain_graph=True)[0])(upstream)]


def jacrev(module, x):
    return [torch.func.jacrev(lambda x: first(module(x)))(x)]


def forward_mode(module, x):
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(x.detach(), torch.ones_like(x))
        return list(torch.autograd.forward_ad.unpack_dual(first(module(dual))))


def per_sample_gradients(module, x):
    first(call_for_per_sample_grads(module, batch_size=len(x), batch_first=True)(x)).sum().backward()
    return [weight.grad_sample for weight in module.parameters()]


def mapped_gradients(module, x):
    weights = dict(module.named_parameters())

    def loss(weights, x):
        return first(torch.func.functional_call(module, weights, x)).sum()

    return list(torch.func.vmap(torch.func.grad(loss), (None, 0))(weights, x.detach()).values())


def retained_graph(module, x):
    outputs = flat(module(x))
    once = torch.autograd.grad(outputs[0].sum(), [x, *module.parameters()], retain_graph=True)
    return [*once, *trained(module, x, outputs)]


# ---- copies, infinities, sizes ---------------------------------------------------------------------------------------


def deep_copy(module, x):
    module(x)
    return trained(copied := copy.deepcopy(module), x, flat(copied(x)))


def pickled(module, x):
    module(x)
    return trained(restored := pickle.loads(pickle.dumps(module)), x, flat(restored(x)))


def changed_dtype_and_back(module, x):
    double = flat(module.double()(x.double()))
    return [*double, *trained(module, x, flat(module.float()(x)))]


def frozen(module, x):
    module.requires_grad_(False)
    return [*(outputs := flat(module(x))), *torch.autograd.grad(outputs[0].sum(), x)]


def infinite_input(module, x):
    x = x.detach().clone()
    x.view(-1)[1] = torch.inf
    return trained(module, x.requires_grad_(), flat(module(x)))


def negatively_infinite_state(module, x):
    states = torch.zeros(*(() if "Cell" in type(module).__name__ else (1,)), B, H)
    states.view(-1)[2] = -torch.inf
    return trained(module, x, flat(module(x, (states, states) if type(module).__name__.startswith("LSTM") else states)))


def nan_input(module, x):
    x = x.detach().clone()
    x.view(-1)[1] = torch.nan
    return trained(module, x.requires_grad_(), flat(module(x)))


def no_sequences(module, x):
    return trained(module, x, flat(module(x[..., :0, :])))


def sparse_input(module, x):
    return flat(module(x.detach().to_sparse()))


USES = [
    use
    for name, use in list(globals().items())
    if getattr(use, "__code__", None) and use.__code__.co_varnames[: use.__code__.co_argcount] == ("module", "x")
]


@pytest.mark.parametrize("kind", [*LAYERS, *CELLS])
@pytest.mark.parametrize("use", USES, ids=lambda use: use.__name__)
def test_a_module_does_what_torch_nn_does(use, kind):
    compare(use, kind)


@pytest.mark.parametrize("options", [{"num_layers": 2, "bidirectional": True}, {"bias": False, "batch_first": True}])
@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize(
    "use", [negated_weights, infinite_input, nan_input, gradient_of_all_gradients, gradients_batched, functional_call]
)
def test_stacks_and_layers_without_bias_do_what_torch_nn_does(use, kind, options):
    compare(use, kind, **options)


@pytest.mark.parametrize("hidden_size", [1, 15, 16, 17, 40])
@pytest.mark.parametrize("kind", LAYERS)
def test_an_infinite_input_reaches_the_same_gradients_at_any_width(kind, hidden_size):
    peer = getattr(nn, kind)(D, hidden_size)
    module = getattr(ours, kind)(D, hidden_size)
    module.load_state_dict(peer.state_dict())
    x = torch.randn(T, B, D)
    mine, theirs = outcome(infinite_input, module, x), outcome(infinite_input, peer, x)
    assert_same(mine, theirs)
    assert any(gradient.isfinite().all() for gradient in theirs[-4:])


# ---- outputs written in place: where torch.nn's own LSTM refuses, ours gives the gradients of a copy -----------------


def relu(y):
    F.relu_(y)


def add(y):
    y += 1


def fill(y):
    y.masked_fill_(y > 0, 0)


def through_data(y):
    y.data.mul_(2)


def first_step(y):
    y[0] *= 2


@pytest.mark.parametrize("form", ["padded", "batch_first", "packed", "unbatched", "stacked"])
@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("write", [relu, add, fill, through_data, first_step])
def test_outputs_written_in_place_have_the_gradients_of_a_copy(write, kind, form):
    options = {"stacked": {"num_layers": 2, "bidirectional": True}, "batch_first": {"batch_first": True}}.get(form, {})
    peer, module = pair(kind, **options)
    x = torch.randn(T, D) if form == "unbatched" else torch.randn(T, B, D)

    def run(module, x, *, copied):
        inputs = nn.utils.rnn.pack_padded_sequence(x, [4, 3, 1]) if form == "packed" else x
        output, states = module(inputs)
        output, states = (output.data if form == "packed" else output), flat(states)
        if copied:
            output, states = output.clone(), [state.clone() for state in states]
        write(output)
        states[0].mul_(2)
        return trained(module, x, [output, *states])

    mine = outcome(lambda module, x: run(module, x, copied=False), module, x)
    assert_same(mine, outcome(lambda module, x: run(module, x, copied=True), peer, x))


@pytest.mark.parametrize("kind", CELLS)
def test_outputs_of_cells_written_in_place_do_what_torch_nn_does(kind):
    def run(module, x):
        h = first(module(x))
        h.mul_(2)
        return trained(module, x, [h])

    compare(run, kind)


# ---- _flat_weights ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", LAYERS)
def test_edited_flat_weights_are_used(kind):
    """As in public code for dropout of recurrent weights."""

    def run(module, x):
        dropped = F.dropout(module.weight_hh_l0, 0.5)
        module._flat_weights[1] = dropped
        edited = flat(module(x))
        module._flat_weights = [weight * 2 for weight in module._flat_weights]
        return trained(module, x, [*edited, *flat(module(x))])

    assert isinstance(compare(run, kind), list)


@pytest.mark.parametrize(
    ("kind", "change"),
    # without shapes for LSTM, where torch's own reads whatever lies in memory (2.13)
    [(kind, c) for kind in LAYERS for c in ("shorter", "none", "double", "shape") if (kind, c) != ("LSTM", "shape")],
)
def test_broken_flat_weights_raise_as_in_torch_nn(kind, change):
    def run(module, x):
        if change == "shorter":
            module._flat_weights = module._flat_weights[:3]
        else:
            other = {"none": None, "double": module.weight_hh_l0.double(), "shape": torch.zeros(2, 2)}[change]
            module._flat_weights[1] = other
        return flat(module(x))

    compare(run, kind)


@pytest.mark.parametrize("method", ["check_forward_args", "permute_hidden", "get_expected_hidden_size"])
@pytest.mark.parametrize("kind", LAYERS)
def test_overridden_methods_are_called(kind, method):
    called = []

    def record(self, *args):
        called.append(method)
        return getattr(getattr(nn, kind), method)(self, *args)

    subclass = type("Mine", (getattr(ours, kind),), {method: record})
    packed = nn.utils.rnn.pack_padded_sequence(torch.randn(T, B, D), [2, 4, 1], enforce_sorted=False)
    layer = subclass(D, H)
    states = torch.zeros(1, B, H)
    for inputs in (packed, torch.randn(T, B, D)):
        layer(inputs, (states, states) if kind == "LSTM" else states)
    assert called
    assert method in layer.why_torch()
