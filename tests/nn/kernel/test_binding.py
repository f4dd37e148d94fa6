"""The library and its Python declaration must match, field by field; a library that does not is never called."""

import _ctypes
import ctypes

import pytest
import torch

from ostinato.nn import RNN, kernel, why_not_native
from ostinato.nn.kernel import binding

if not kernel.is_built():
    pytest.skip("the kernel was not compiled", allow_module_level=True)


def redeclare(monkeypatch, structure, fields):
    """Declare a structure with other fields, as another version of the Python code would."""
    other = type(structure.__name__, (ctypes.Structure,), {"_fields_": fields})
    declared = tuple(other if each is structure else each for each in binding.STRUCTURES)
    monkeypatch.setattr(binding, "STRUCTURES", declared)


def assert_refused(*words):
    binding._load.cache_clear()
    try:
        reason = why_not_native(torch.empty(0), [])
        assert binding.library() is None and not kernel.is_built()
        assert all(word in reason for word in words), reason
        with pytest.raises(RuntimeError, match=words[0]):
            binding.built_library()
        x, peer = torch.randn(4, 2), RNN(2, 3)  # runs by the torch engine
        assert torch.equal(peer(x)[0], torch.nn.RNN.forward(peer, x)[0])
    finally:
        binding._load.cache_clear()


def test_the_library_built_here_matches():
    assert binding.why_unavailable() is None and why_not_native(torch.empty(0), []) is None


@pytest.mark.parametrize("structure", binding.STRUCTURES, ids=lambda structure: structure.__name__)
def test_swapped_fields_are_detected(structure, monkeypatch):
    first, *rest, last = structure._fields_
    redeclare(monkeypatch, structure, [last, *rest, first])
    assert_refused(f"Ostinato{structure.__name__}")


@pytest.mark.parametrize("structure", binding.STRUCTURES, ids=lambda structure: structure.__name__)
def test_a_missing_field_is_detected(structure, monkeypatch):
    redeclare(monkeypatch, structure, structure._fields_[:-1])
    assert_refused(f"Ostinato{structure.__name__}")


def test_a_narrower_field_in_the_space_of_a_wide_one_is_detected(monkeypatch):
    fields = [(name, ctypes.c_int32 if name == "padded_length" else kind) for name, kind in binding.Stack._fields_]
    redeclare(monkeypatch, binding.Stack, fields)
    assert_refused("OstinatoStack.padded_length: 4 bytes", "OstinatoStack.padded_length: 8 bytes")


def test_reordered_enumerators_are_detected(monkeypatch):
    monkeypatch.setattr(binding, "CELLS", ("rnn_tanh", "rnn_relu", "gru", "lstm"))
    assert_refused("cell gru", "cell lstm")


def test_a_library_that_does_not_describe_itself_is_refused(monkeypatch):
    monkeypatch.setattr(binding, "LIBRARY", binding.Path(_ctypes.__file__))
    assert_refused("interface")


def test_a_file_that_is_not_a_library_is_refused(monkeypatch, tmp_path):
    (tmp_path / "libostinato.so").write_text("not a library")
    monkeypatch.setattr(binding, "LIBRARY", tmp_path / "libostinato.so")
    assert_refused("libostinato.so")


def test_a_missing_library_was_not_compiled(monkeypatch, tmp_path):
    monkeypatch.setattr(binding, "LIBRARY", tmp_path / "libostinato.so")
    assert_refused("not compiled")
