"""Each cell against torch.nn and against steps worked out by hand."""

import math
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ostinato import plugins
from ostinato.errors import ConfigError
from ostinato.nn import (
    CELLS,
    Cell,
    Layout,
    RecurrentLayer,
    RecurrentStack,
    Weights,
    find_cell,
    register_cell,
    use_engine,
)
from ostinato.nn.cells import DecayWeights, HeadWeights, NormWeights, RingWeights, ScanWeights, positive

PEERS = {
    "rnn_tanh": lambda: nn.RNNCell(3, 5),
    "rnn_relu": lambda: nn.RNNCell(3, 5, nonlinearity="relu"),
    "lstm": lambda: nn.LSTMCell(3, 5),
    "gru": lambda: nn.GRUCell(3, 5),
}


@pytest.mark.parametrize("name", PEERS)
def test_step_equals_torch_cell(name):
    peer, cell = PEERS[name](), CELLS[name]
    x, state = torch.randn(4, 3), tuple(torch.randn(4, 5) for _ in range(cell.states))
    expected = peer(x, state if cell.states > 1 else state[0])
    expected = expected if isinstance(expected, tuple) else (expected,)
    ours = cell.step(x, state, Weights(peer.weight_ih, peer.weight_hh, peer.bias_ih, peer.bias_hh))
    for got, want in zip(ours, expected, strict=True):
        torch.testing.assert_close(got, want)


@pytest.mark.parametrize("name", CELLS)
def test_step_passes_gradcheck(name):
    cell = CELLS[name]
    shapes = [(2, 3), *[(2, 4)] * cell.states, *cell.shapes(3, 4).values()]
    inputs = [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]

    def step(x, *rest):
        return cell.step(x, rest[: cell.states], cell.weights(*rest[cell.states :]))

    assert torch.autograd.gradcheck(step, inputs)


def test_gru_keeps_the_old_state_where_z_is_one():
    weights = Weights(torch.zeros(3, 1), torch.zeros(3, 1), torch.tensor([0.0, 100.0, 0.0]), torch.zeros(3))
    (h,) = CELLS["gru"].step(torch.ones(1, 1), (torch.tensor([[0.7]]),), weights)
    assert h.item() == pytest.approx(0.7)


def test_gru_applies_r_after_the_recurrent_product():
    # r = 1/2 and z = 1/2 from zero sums; n = tanh(r · (W_hn h + b_hn)) = tanh(0.5 · (2 · 0.5 + 1))
    weights = Weights(
        torch.zeros(3, 1), torch.tensor([[0.0], [0.0], [2.0]]), torch.zeros(3), torch.tensor([0.0, 0.0, 1.0])
    )
    (h,) = CELLS["gru"].step(torch.zeros(1, 1), (torch.tensor([[0.5]]),), weights)
    assert h.item() == pytest.approx(0.5 * math.tanh(1.0) + 0.5 * 0.5)


def test_lstm_gates_are_in_the_order_i_f_g_o():
    biases = torch.tensor([100.0, -100.0, 0.5, 100.0])  # i open, f shut, g = tanh 0.5, o open
    weights = Weights(torch.zeros(4, 1), torch.zeros(4, 1), biases, torch.zeros(4))
    h, c = CELLS["lstm"].step(torch.zeros(1, 1), (torch.zeros(1, 1), torch.full((1, 1), 9.0)), weights)
    assert c.item() == pytest.approx(math.tanh(0.5))
    assert h.item() == pytest.approx(math.tanh(math.tanh(0.5)))


def test_lstm_gates_are_the_activations_of_their_sums():
    # x = 1, h = 0.5: the sums are w_ih · 1 + b_ih + w_hh · 0.5 + b_hh
    weights = Weights(
        torch.tensor([[1.0], [2.0], [3.0], [4.0]]),
        torch.tensor([[2.0], [-2.0], [4.0], [-4.0]]),
        torch.full((4,), 0.25),
        torch.full((4,), -0.5),
    )
    gates = CELLS["lstm"].activations(torch.ones(1, 1), torch.full((1, 1), 0.5), weights)
    expected = {
        "i": 1 / (1 + math.exp(-1.75)),
        "f": 1 / (1 + math.exp(-0.75)),
        "g": math.tanh(4.75),
        "o": 1 / (1 + math.exp(-1.75)),
    }
    assert {name: gate.item() for name, gate in gates.items()} == pytest.approx(expected)


def test_gru_gates_are_the_activations_of_their_sums():
    # x = 1, h = 0.5: r of 1 + 1, z of 2 − 1, and n of −3 + r · (2 + 0.5)
    weights = Weights(
        torch.tensor([[1.0], [2.0], [-3.0]]),
        torch.tensor([[2.0], [-2.0], [4.0]]),
        torch.zeros(3),
        torch.tensor([0.0, 0.0, 0.5]),
    )
    gates = CELLS["gru"].activations(torch.ones(1, 1), torch.full((1, 1), 0.5), weights)
    r = 1 / (1 + math.exp(-2.0))
    expected = {"r": r, "z": 1 / (1 + math.exp(-1.0)), "n": math.tanh(-3.0 + r * 2.5)}
    assert {name: gate.item() for name, gate in gates.items()} == pytest.approx(expected)


def test_rnns_have_no_gates():
    assert CELLS["rnn_tanh"].activations is CELLS["rnn_relu"].activations is None


def test_mingru_mixes_the_state_and_a_positive_candidate():
    # x = 1, h = 0.5: z = σ(1 − 1) = 1/2; n = g(0.5) = 1 and g(−2) = σ(−2)
    (h,) = CELLS["mingru"].step(
        torch.ones(1, 1), (torch.tensor([[0.5]]),), ScanWeights(torch.tensor([[1.0], [0.5]]), torch.tensor([-1.0, 0.0]))
    )
    assert h.item() == pytest.approx(0.5 * 0.5 + 0.5 * 1.0)
    (h,) = CELLS["mingru"].step(
        torch.ones(1, 1),
        (torch.tensor([[0.5]]),),
        ScanWeights(torch.tensor([[1.0], [-2.0]]), torch.tensor([-1.0, 0.0])),
    )
    assert h.item() == pytest.approx(0.5 * 0.5 + 0.5 / (1 + math.exp(2.0)))


def test_minlstm_gates_are_divided_by_their_sum():
    # sums 0 and ln 3: f = 1/2 and i = 3/4, so f' = 0.4 and i' = 0.6; n = g(1.5) = 2
    weights = ScanWeights(torch.zeros(3, 1), torch.tensor([0.0, math.log(3.0), 1.5]))
    (h,) = CELLS["minlstm"].step(torch.ones(1, 1), (torch.tensor([[0.5]]),), weights)
    assert h.item() == pytest.approx(0.4 * 0.5 + 0.6 * 2)


def test_a_signed_mingru_mirrors_the_state_at_the_candidate_when_its_gate_is_wide_open():
    # z = 2·σ(100) = 2 and n = g(0.5) = 1, so h' = −0.25 + 2; z = 2·σ(ln 1/3) = 1/2: h' = 0.5·0.25 + 0.5·1
    for bias, expected in [(100.0, 1.75), (math.log(1 / 3), 0.625)]:
        weights = ScanWeights(torch.tensor([[0.0], [0.5]]), torch.tensor([bias, 0.0]))
        (h,) = CELLS["mingru_signed"].step(torch.ones(1, 1), (torch.tensor([[0.25]]),), weights)
        assert h.item() == pytest.approx(expected)


def test_two_signed_minlstm_gates_sum_to_one_and_the_first_can_be_negative():
    # sums 0 and ln 3: shares of 0.4 and 0.6, so f = −0.2 and i = 1.2; n = g(1.5) = 2
    weights = ScanWeights(torch.zeros(3, 1), torch.tensor([0.0, math.log(3.0), 1.5]))
    (h,) = CELLS["minlstm_signed"].step(torch.ones(1, 1), (torch.tensor([[0.5]]),), weights)
    assert h.item() == pytest.approx(-0.2 * 0.5 + 1.2 * 2)
    gates = CELLS["minlstm_signed"].activations(torch.ones(1, 1), None, weights)
    assert {name: gate.item() for name, gate in gates.items()} == pytest.approx({"f": -0.2, "i": 1.2, "n": 2.0})


def test_minlstm_gates_are_finite_when_both_sigmoids_underflow():
    gates = CELLS["minlstm"].activations(
        torch.ones(1, 1), torch.zeros(1, 1), ScanWeights(torch.zeros(3, 1), torch.tensor([-200.0, -200.0, 0.0]))
    )
    assert {name: gate.item() for name, gate in gates.items()} == pytest.approx({"f": 0.5, "i": 0.5, "n": 0.5})


def test_positive_is_continuous_and_increasing():
    x = torch.tensor([-100.0, -2.0, -1e-6, 0.0, 1e-6, 3.0], dtype=torch.float64)
    assert positive(x).diff().ge(0).all()
    torch.testing.assert_close(positive(x)[2:5], torch.full((3,), 0.5, dtype=torch.float64), atol=1e-5, rtol=0)


def test_lnlstm_equals_its_equations():
    x, h, c = torch.randn(2, 3), torch.randn(2, 4), torch.randn(2, 4)
    weights = NormWeights(*(torch.randn(shape) for shape in CELLS["lnlstm"].shapes(3, 4).values()))

    def norm(values, gain, bias=0.0):
        return (values - values.mean(1, keepdim=True)) / torch.sqrt(
            values.var(1, unbiased=False, keepdim=True) + 1e-5
        ) * gain + bias

    sums = (
        norm(x @ weights.weight_ih.T, weights.gain_ih)
        + norm(h @ weights.weight_hh.T, weights.gain_hh)
        + weights.bias_ih
    )
    i, f, g, o = sums.chunk(4, dim=1)
    expected_c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    expected_h = torch.sigmoid(o) * torch.tanh(norm(expected_c, weights.gain_c, weights.bias_c))
    torch.testing.assert_close(CELLS["lnlstm"].step(x, (h, c), weights), (expected_h, expected_c))


def test_rglru_decays_by_its_gate_and_weighs_the_input_by_what_is_left():
    # r = 1/2 and i = 3/4 of biases 0 and ln 3, c = 8: a = σ(Λ)^4 = 0.9^4 for Λ = ln 9; n = 2·1 + 1
    weights = DecayWeights(
        torch.tensor([[0.0], [0.0], [2.0]]), torch.tensor([0.0, math.log(3.0), 1.0]), torch.tensor([math.log(9.0)])
    )
    (h,) = CELLS["rglru"].step(torch.ones(1, 1), (torch.tensor([[0.5]]),), weights)
    a = 0.9**4
    assert h.item() == pytest.approx(a * 0.5 + math.sqrt(1 - a**2) * 0.75 * 3)


@pytest.mark.parametrize(("gate", "decay"), [(-200.0, 1.0), (0.0, 200.0), (200.0, -200.0)])
def test_rglru_has_finite_gradients_where_its_factor_is_zero_or_one(gate, decay):
    x, h = torch.ones(1, 1, requires_grad=True), torch.full((1, 1), 0.5, requires_grad=True)
    weights = DecayWeights(
        torch.ones(3, 1, requires_grad=True),
        torch.tensor([gate, 0.0, 0.0], requires_grad=True),
        torch.tensor([decay], requires_grad=True),
    )
    (after,) = CELLS["rglru"].step(x, (h,), weights)
    assert all(gradient.isfinite().all() for gradient in torch.autograd.grad(after, [x, h, *weights]))


def test_rglru_starts_with_decays_in_the_range_of_its_paper():
    (weights,) = RecurrentStack(3, 4_000, cell="rglru").layers[0].directions()
    widest = torch.sigmoid(weights.decay.double()) ** 8  # a where the gate r is 1
    assert widest.min() + 1e-5 >= 0.9 and widest.max() <= 0.999 + 1e-5
    counts = torch.histc(widest, 10, 0.9, 0.999)
    assert ((counts - 400).abs() < 100).all()  # uniform: each a binomial of deviation 19


def test_lru_equals_its_equations_in_complex_numbers():
    weights = RingWeights(*(torch.randn(shape, dtype=torch.float64) for shape in CELLS["lru"].shapes(3, 4).values()))
    x, h = torch.randn(2, 3, dtype=torch.float64), torch.randn(2, 4, dtype=torch.complex128)
    factor = torch.exp(-torch.exp(weights.nu_log) + 1j * torch.exp(weights.theta_log))
    B, b = (torch.complex(*part.chunk(2)) for part in (weights.weight_ih, weights.bias_ih))
    C = torch.complex(weights.weight_ho[:, :4], -weights.weight_ho[:, 4:])
    expected = factor * h + torch.exp(weights.gamma_log) * ((x + 0j) @ B.T + b)
    expected_y = F.gelu((expected @ C.T).real, approximate="tanh")
    y, real, imaginary = CELLS["lru"].step(x, (torch.full((2, 4), torch.nan), h.real, h.imag), weights)
    torch.testing.assert_close((y, torch.complex(real, imaginary)), (expected_y, expected))


def test_lru_starts_on_a_ring_with_states_of_the_variance_of_their_input():
    layer = RecurrentStack(1, 1_000, cell="lru").layers[0]
    (weights,) = layer.directions()
    size, angle = torch.exp(-torch.exp(weights.nu_log.double())), torch.exp(weights.theta_log.double())
    assert size.min() + 1e-6 >= 0.9 and size.max() <= 0.999 + 1e-6 and angle.max() <= 2 * math.pi + 1e-6
    assert ((torch.histc(angle, 10, 0, 2 * math.pi) - 100).abs() < 45).all()
    assert ((torch.histc(size**2, 10, 0.9**2, 0.999**2) - 100).abs() < 45).all()  # uniform on the ring's area
    torch.testing.assert_close(torch.exp(weights.gamma_log.double()) ** 2, 1 - size**2, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize(("hidden_size", "heads"), [(8, 4), (6, 1)])
def test_slstm_equals_its_equations_without_the_stabiliser(hidden_size, heads):
    draw = {"dtype": torch.float64}
    weights = HeadWeights(*(torch.randn(shape, **draw) for shape in CELLS["slstm"].shapes(3, hidden_size).values()))
    size = hidden_size // heads
    R = torch.block_diag(*weights.weight_hh.split(size)).view(4, heads, size, 4, heads, size)
    R = torch.stack([R[gate, :, :, gate].reshape(hidden_size, hidden_size) for gate in range(4)])
    state = h, c, n, _ = [torch.zeros(2, hidden_size, **draw)] * 4
    for x in torch.randn(5, 2, 3, **draw):
        sums = (x @ weights.weight_ih.T + weights.bias_ih).view(2, 4, hidden_size) + torch.einsum("gjk,bk->bgj", R, h)
        i, f, z, o = sums.unbind(1)
        c = torch.sigmoid(f) * c + torch.exp(i) * torch.tanh(z)
        n = torch.sigmoid(f) * n + torch.exp(i)
        h = torch.sigmoid(o) * c / n
        state = CELLS["slstm"].step(x, state, weights)
        torch.testing.assert_close(state[0], h)
        torch.testing.assert_close([part * state[3].exp() for part in state[1:3]], [c, n])


@pytest.mark.parametrize("log_i", [-500.0, 500.0])
def test_slstm_stays_finite_where_its_exponential_gate_is_not(log_i):
    weights = HeadWeights(torch.zeros(4, 1), torch.zeros(4, 1), torch.tensor([log_i, 9.0, 1.0, 0.0]))
    state = (torch.zeros(1, 1),) * 4
    for _ in range(3):
        state = CELLS["slstm"].step(torch.ones(1, 1), state, weights)
        assert state[0].item() == pytest.approx(0.5 * math.tanh(1.0))  # o · c / n


def test_slstm_starts_with_the_forget_biases_of_its_code():
    layer = RecurrentLayer(2, 8, cell="slstm")
    assert not layer.weight_hh_l0.any()
    assert layer.bias_ih_l0[8:16].tolist() == pytest.approx([5, -7] * 4)


# ---- cells of the user -----------------------------------------------------------------------------------------------


@pytest.fixture
def cells(monkeypatch):
    """Cells registered in a test are gone after it."""
    monkeypatch.setattr(plugins, "_registered", {})


class GainWeights(NamedTuple):
    weight_ih: Tensor
    weight_hh: Tensor
    bias_ih: Tensor
    gain: Tensor


def gain_step(x, state, weights):
    """Two states: c' = f·c + (1 − f)·tanh(n) and h' = gain·c', with one gain for each row of the weights."""
    h, c = state
    f, n = (F.linear(x, weights.weight_ih, weights.bias_ih) + F.linear(h, weights.weight_hh)).chunk(2, dim=-1)
    c = torch.sigmoid(f) * c + torch.sigmoid(-f) * torch.tanh(n)
    return weights.gain[: c.shape[-1]] * c, c


MINE = Cell("mine", gates=2, states=2, step=gain_step, weights=GainWeights, initial_bias=(0, 1.0))


@pytest.mark.parametrize("engine", ["auto", "reference", "torch"])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_a_registered_cell_runs_in_a_stack_as_in_a_loop_forward_and_backward(engine, bidirectional, cells):
    register_cell("mine", MINE)
    stack = RecurrentStack(3, 4, cell="mine", num_layers=2, bidirectional=bidirectional).double()
    lengths = [4, 0, 1, 6]
    x = torch.randn(sum(lengths), 3, dtype=torch.float64, requires_grad=True)

    def direction(weights, steps):
        state, outputs = (steps.new_zeros(1, 4), steps.new_zeros(1, 4)), []
        for step in steps.split(1):
            state = gain_step(step, state, weights)
            outputs.append(state[0])
        return torch.cat(outputs)

    expected = []
    for h in x.split(lengths):
        for layer in stack.layers if len(h) else ():
            sides = [direction(layer.directions()[0], h)]
            if bidirectional:
                sides.append(direction(layer.directions()[1], h.flip(0)).flip(0))
            h = torch.cat(sides, dim=1)
        expected.append(h if len(h) else x.new_zeros(0, stack.output_size))
    expected = torch.cat(expected)
    with use_engine(engine):
        outputs = stack(x, Layout(torch.tensor(lengths)))
    torch.testing.assert_close(outputs, expected)
    leaves = [x, *stack.parameters()]
    torch.testing.assert_close(
        torch.autograd.grad(outputs.sin().sum(), leaves), torch.autograd.grad(expected.sin().sum(), leaves)
    )


def test_a_registered_cell_starts_with_its_initial_bias_and_gains_of_one(cells):
    register_cell("mine", MINE)
    (weights,) = RecurrentStack(3, 4, cell="mine").layers[0].directions()
    assert isinstance(weights, GainWeights)
    assert weights.bias_ih.tolist() == [1.0] * 4 + [0.0] * 4 and weights.gain.tolist() == [1.0] * 8
    torch.testing.assert_close(weights.weight_hh[4:] @ weights.weight_hh[4:].T, torch.eye(4), atol=1e-5, rtol=0)


def test_a_registered_cell_does_not_claim_the_kernel(cells):
    register_cell("mine", MINE)
    stack = RecurrentStack(3, 4, cell="mine", engine="native")
    with pytest.raises(ConfigError, match="mine"):
        stack(torch.randn(2, 3), Layout(torch.tensor([2])))


def test_a_registered_cell_is_replaced_and_a_built_in_one_is_not(cells):
    for cell in (Cell("mine", gates=1, states=1, step=gain_step), MINE):
        register_cell("mine", cell)
        assert find_cell("mine") is cell
    for name in ("lstm", "rnn", "cnn"):
        with pytest.raises(ConfigError, match=name):
            register_cell(name, Cell(name, gates=1, states=1, step=gain_step))
    assert find_cell("lstm").native == "recurrent"


def test_a_cell_that_does_not_fit_its_registration_is_refused(cells):
    with pytest.raises(ConfigError, match="'mine'.*'yours'"):
        register_cell("yours", MINE)
    with pytest.raises(ConfigError, match="'fast'.*'recurrent'"):
        register_cell("fast", Cell("fast", gates=1, states=1, step=gain_step, native="recurrent"))
    assert not {"yours", "fast"} & set(CELLS)


@pytest.fixture
def package(tmp_path, monkeypatch, cells):
    """An installed package that offers two cells, one of them not a cell."""
    info = tmp_path / "their_cells-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: their-cells\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[ostinato.cells]\ntheirs = their_cells:THEIRS\nbroken = their_cells:step\n")
    (tmp_path / "their_cells.py").write_text(
        "import torch\n"
        "from ostinato.nn import Cell\n"
        "def step(x, state, weights):\n"
        "    return (torch.tanh(x @ weights.weight_ih.T + state[0]),)\n"
        "THEIRS = Cell('theirs', gates=1, states=1, step=step)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)


def test_an_installed_package_s_cell_is_found_by_name(package):
    assert "theirs" not in CELLS
    stack = RecurrentStack(2, 3, cell="theirs")
    assert find_cell("theirs") is stack.layers[0].cell


def test_an_entry_point_that_is_not_a_cell_is_refused(package):
    with pytest.raises(ConfigError, match="'broken'.*step"):
        find_cell("broken")


def test_an_unknown_cell_is_refused_with_the_nearest_name_offered(package):
    with pytest.raises(ConfigError, match="'their'.*'theirs'"):
        find_cell("their")
    with pytest.raises(ConfigError, match="'mingur'.*'mingru'"):
        find_cell("mingur")
