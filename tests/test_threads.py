"""Number of torch's threads in a training and in predictions."""

import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback
from torch import nn

from fairtask._threads import SEVERAL_THREADS, threads_for
from tests._inputs import make_classifier, make_samples

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _torch_has_three_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


def in_new_thread(function):
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function).result()


class Note(Callback):
    """Note the number of threads at the end of each epoch, in a shared list."""

    def __init__(self, noted):
        self.noted = noted

    def __deepcopy__(self, memo):
        return self

    def on_epoch_end(self, net, **kwargs):
        self.noted.append(torch.get_num_threads())


def fit(noted, **kwargs):
    X, y, z = make_samples(100)
    classifier = make_classifier(max_epochs=2, callbacks=[Note(noted)], **kwargs)
    return classifier.fit(X, y, sensitive_features=z)


class TestNumber:
    @pytest.mark.parametrize(
        ("n_weights", "device", "expected"),
        [
            (SEVERAL_THREADS - 1, "cpu", 1),
            (SEVERAL_THREADS, "cpu", 3),
            (SEVERAL_THREADS - 1, "cuda", 3),
        ],
    )
    def test_depends_on_weights_and_device(self, n_weights, device, expected):
        network = nn.Sequential(nn.Linear(n_weights, 1, bias=False))
        with threads_for(network, torch.device(device), None):
            assert torch.get_num_threads() == expected

    def test_embeddings_do_not_count(self):
        network = nn.Embedding(SEVERAL_THREADS, 1)
        with threads_for(network, CPU, None):
            assert torch.get_num_threads() == 1

    @pytest.mark.parametrize(("n_threads", "expected"), [(None, 1), (2, 2)])
    def test_is_that_of_the_estimator(self, n_threads, expected):
        noted = []
        classifier = fit(noted, n_threads=n_threads)
        classifier.net_.module_.trunk.register_forward_pre_hook(
            lambda *_: noted.append(torch.get_num_threads())
        )
        X, _, _ = make_samples(100)
        classifier.predict(X)
        classifier.transform(X)
        assert noted == 4 * [expected]


class TestSetting:
    def test_is_kept(self):
        fit([])
        assert torch.get_num_threads() == in_new_thread(torch.get_num_threads) == 3

    def test_is_kept_after_an_error(self):
        with pytest.raises(KeyError), threads_for(nn.Linear(1, 1), CPU, None):
            raise KeyError
        assert torch.get_num_threads() == in_new_thread(torch.get_num_threads) == 3

    def test_is_kept_in_other_threads(self):
        def other():
            found = [torch.get_num_threads()]
            barrier.wait()
            barrier.wait()
            return [*found, torch.get_num_threads()]

        barrier = threading.Barrier(2, timeout=30)
        with ThreadPoolExecutor(1) as pool:
            old = pool.submit(other)
            barrier.wait()
            with threads_for(nn.Linear(1, 1), CPU, None):
                barrier.wait()
                assert old.result() == [3, 3]
                assert in_new_thread(torch.get_num_threads) == 3

    @pytest.mark.parametrize("first_out", [0, 1])
    def test_is_kept_when_trainings_overlap(self, first_out):
        inside, leave = threading.Barrier(3, timeout=30), threading.Event()

        def train(i):
            with threads_for(nn.Linear(1, 1), CPU, None):
                inside.wait()
                assert torch.get_num_threads() == 1
                if i != first_out:
                    assert leave.wait(30)
            if i == first_out:
                leave.set()
            return torch.get_num_threads()

        with ThreadPoolExecutor(2) as pool:
            trainings = [pool.submit(train, i) for i in range(2)]
            inside.wait()
            assert [training.result() for training in trainings] == [3, 3]
        assert torch.get_num_threads() == in_new_thread(torch.get_num_threads) == 3


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no fork")
@pytest.mark.filterwarnings("ignore:.*fork.* may lead to deadlocks:DeprecationWarning")
class TestForks:
    """A server loads a model, and forks the processes that answer."""

    def in_fork(self, function):
        """Return the exit code of a process that is forked to call a function."""
        child = os.fork()
        if child == 0:
            try:
                function()
            except BaseException:
                os._exit(1)
            os._exit(0)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            found, status = os.waitpid(child, os.WNOHANG)
            if found:
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.02)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return "it hangs"

    @pytest.mark.parametrize("n_threads", [None, 3])
    def test_predicts_after_a_training_in_several_threads(self, n_threads):
        X, _, _ = make_samples(50_000)
        classifier = fit([], n_threads=n_threads, hidden_layer_sizes=(512,))
        expected = classifier.predict(X)

        def predict():
            assert np.array_equal(classifier.predict(X), expected)

        assert self.in_fork(predict) == 0

    def test_new_threads_compute_in_several(self):
        classifier = fit([], n_threads=3, hidden_layer_sizes=(512,))
        X, _, _ = make_samples(50_000)
        classifier.predict(X)

        def predict():
            noted = []
            classifier.net_.module_.trunk.register_forward_pre_hook(
                lambda *_: noted.append(torch.get_num_threads())
            )
            classifier.predict(X[:9])
            in_new_thread(lambda: classifier.predict(X[:9]))
            assert noted == [1, 3]

        assert self.in_fork(predict) == 0
