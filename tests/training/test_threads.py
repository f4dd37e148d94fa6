"""Trainings and predictions on several threads: the same bits on any number, many callers at once, and after a fork."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from ostinato import SequenceClassifier
from ostinato.nn import kernel
from ostinato.threads import ThreadLimit

TEXTS = [" ".join("abcdefgh"[(row * step) % 8] for step in range(40 + row % 30)) for row in range(96)]
LABELS = [row % 3 for row in range(96)]
SETTINGS = {
    "lstm": {"cell": "lstm", "hidden_size": 72, "num_layers": 2, "dropout": 0.2, "layer_norm": True},
    "gru": {"cell": "gru", "hidden_size": 96, "bidirectional": True, "pooling": ["attention", "max"]},
    "mingru": {"cell": "mingru", "hidden_size": 128, "bidirectional": True},
}


@pytest.fixture
def use(monkeypatch):
    """Let trainings and predictions use a number of threads."""

    def use(number):
        monkeypatch.setattr("ostinato.nn.threads.thread_limit", lambda: ThreadLimit(number, "a test"))
        torch.set_num_threads(number)

    yield use
    torch.set_num_threads(1)


def fitted(settings):
    return SequenceClassifier(**settings, embedding_size=48, max_epochs=1, batch_size=48, seed=3).fit(TEXTS, LABELS)


@pytest.mark.skipif(not kernel.is_built(), reason="the kernel was not compiled")
@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_weights_and_answers_have_the_same_bits_on_any_number_of_threads(use, settings):
    weights, answers = [], []
    for number in (1, 2, 5):
        use(number)
        model = fitted(settings)
        assert torch.get_num_threads() == number
        weights.append(model.model_.state_dict())
        answers.append(model.predict_proba(TEXTS))
    for other, answer in zip(weights[1:], answers[1:], strict=True):
        assert all(torch.equal(other[name], weight) for name, weight in weights[0].items())
        assert np.array_equal(answer, answers[0])


@pytest.mark.parametrize("number", [1, 2])
def test_callers_in_many_threads_get_the_answers_of_one(use, number):
    use(number)
    models = [fitted(settings) for settings in SETTINGS.values()]
    expected = [model.predict_proba(TEXTS) for model in models]
    work = [(models[k % 3], expected[k % 3]) for k in range(24)]
    with ThreadPoolExecutor(6) as executor:
        for right in executor.map(lambda pair: np.array_equal(pair[0].predict_proba(TEXTS), pair[1]), work):
            assert right
    assert torch.get_num_threads() == number


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # of Python 3.12: the process has threads
def test_a_forked_child_predicts(use):
    use(2)
    model = fitted(SETTINGS["gru"])
    expected = model.predict_proba(TEXTS)
    torch.randn(1_000_000).exp()  # starts torch's threads, which the child does not have
    child = os.fork()
    if child == 0:
        signal.alarm(30)  # ends a child that hangs
        os._exit(0 if np.array_equal(model.predict_proba(TEXTS), expected) else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert np.array_equal(model.predict_proba(TEXTS), expected)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="threads cannot be confined to a core here")
def test_two_threads_on_one_core_give_the_same_answers(use):
    cores = os.sched_getaffinity(0)
    use(1)
    expected = fitted(SETTINGS["gru"]).predict_proba(TEXTS)
    os.sched_setaffinity(0, {min(cores)})
    try:
        use(2)
        assert np.array_equal(fitted(SETTINGS["gru"]).predict_proba(TEXTS), expected)
    finally:
        os.sched_setaffinity(0, cores)
