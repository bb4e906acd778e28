"""Several processes train the network that one process trains."""

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from fairtask._processes import Processes, find_processes
from fairtask._random import OwnStream
from fairtask._validation import check_device
from fairtask.modules import Dropout
from tests import _processes

pytestmark = pytest.mark.filterwarnings("ignore:The network has learnt next to nothing")


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """Return the results of two processes."""
    folder = tmp_path_factory.mktemp("processes")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command = [*torchrun, "--nproc-per-node=2", "-m", _processes.__name__, str(folder)]
    subprocess.run(command, cwd=Path(__file__).parents[1], check=True, timeout=300)
    return [pickle.loads((folder / rank).read_bytes()) for rank in "01"]


@pytest.mark.slow
class TestTwoProcesses:
    @pytest.mark.parametrize("training", _processes.EQUAL)
    def test_train_the_network_of_one(self, found, training):
        expected = _processes.results(_processes.EQUAL[training]())
        first, second = (of_process[training] for of_process in found)
        assert first.keys() == second.keys() == expected.keys()
        for name, values in expected.items():
            assert_array_equal(first[name], second[name])
            if name in {"steps", "history", "groups"}:
                assert_allclose(first[name], values, rtol=1e-5, err_msg=name)
                continue
            # Adam divides a gradient that is no more than a rounding error by its own
            # size, and an erasure inverts a matrix.
            atol = 1e-2 if training == "erased" else 1e-3
            assert_allclose(first[name], values, rtol=0, atol=atol, err_msg=name)
            assert np.abs(first[name] - values).mean() < atol / 100

    def test_losses_of_fifty_steps_are_equal_to_rounding(self, found):
        expected = _processes.results(_processes.defaults())["steps"]
        assert len(expected) >= 50
        assert_allclose(found[0]["defaults"]["steps"], expected, rtol=1e-5)

    @pytest.mark.parametrize("training", ["modules_of_torch", "unseeded"])
    def test_have_one_network(self, found, training):
        (first, _), (second, _) = (of_process[training] for of_process in found)
        for name, values in first.items():
            assert_array_equal(values, second[name])

    def test_divide_each_epoch(self, found):
        """They draw the same order, although each has drawn other random numbers."""
        features = [f for each in found for f in each["modules_of_torch"][1]]
        n_epochs = len(found[0]["modules_of_torch"][0]["history"])
        expected = np.sort(np.tile(_processes.X[:, 0], n_epochs))
        assert_allclose(np.sort(features), expected, rtol=1e-6)

    @pytest.mark.parametrize(
        ("training", "argument"),
        [
            ("other_labels", "y"),
            ("other_files", "X"),
            ("other_parameter", "lr"),
            ("only_one_validates", "X_val"),
            ("other_class_weight", "sample_weight"),
        ],
    )
    def test_refuse_different_arguments(self, found, training, argument):
        for of_process in found:
            assert f"different are: ['{argument}'" in of_process[training]

    def test_train_alone_in_threads(self, found):
        (lr, first), (other_lr, second) = (each["in_a_thread"] for each in found)
        assert lr != other_lr
        assert not np.array_equal(first["steps"], second["steps"])


def make_processes(rank, size):
    processes = object.__new__(Processes)  # without a process group
    processes.rank, processes.size = rank, size
    return processes


@pytest.mark.parametrize("n_samples", [0, 1, 2, 7])
def test_parts_make_the_whole_batch(n_samples):
    parts = [make_processes(rank, 3).part(n_samples) for rank in range(3)]
    rows = [row for part in parts for row in range(n_samples)[part]]
    assert rows == list(range(n_samples))
    sizes = [part.stop - part.start for part in parts]
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize("shape", [(7, 5), (7, 3, 2), (1, 5)])
def test_parts_have_the_dropout_of_the_whole_batch(shape):
    dropout, x = Dropout(0.5), torch.ones(shape)
    with OwnStream(0):
        expected = dropout(x)
    found = []
    for rank in range(3):
        processes = make_processes(rank, 3)
        processes.start_batch(len(x), processes.part(len(x)))
        with OwnStream(0), processes:
            found.append(dropout(x[processes.rows]))
    assert_array_equal(torch.cat(found), expected)


def test_one_process_trains_alone():
    assert find_processes() is None


def test_each_process_of_a_machine_has_a_gpu(monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "99")
    with pytest.raises(ValueError, match=r"`device` must be .*'cuda:99'"):
        check_device("cuda")
