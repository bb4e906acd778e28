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
from fairtask._stored import StoredBatches
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


def joined(values):
    """Return the rows of all processes, of inputs or of targets."""
    if isinstance(values[0], dict):
        return {name: torch.cat([of[name] for of in values]) for name in values[0]}
    return torch.cat(values)


@pytest.mark.slow
class TestTwoProcessesShareAFile:
    def test_train_the_network_of_one_with_their_batches(self, found, monkeypatch):
        (first, batches, _), (second, others, _) = (of["shared_file"] for of in found)
        epochs = [
            [
                tuple(joined(values) for values in zip(*parts, strict=True))
                for parts in zip(*of_processes, strict=True)
            ]
            for of_processes in zip(batches, others, strict=True)
        ]
        in_order = StoredBatches.__iter__

        def replayed(self):
            if self.random is None:
                return in_order(self)
            self.random.seeds(1)  # that of the order
            return iter(epochs.pop(0))

        monkeypatch.setattr(StoredBatches, "__iter__", replayed)
        expected = _processes.results(_processes.fit_file())
        assert not epochs
        for name, values in expected.items():
            assert_array_equal(first[name], second[name])
            close = {"rtol": 1e-5} if values.dtype == float else {"atol": 1e-3}
            assert_allclose(first[name], values, **close, err_msg=name)

    def test_divide_each_batch(self, found):
        epochs = [of_process["shared_file"][1] for of_process in found]
        for first, second in zip(*epochs, strict=True):
            sizes = np.array(
                [[len(X) for X, _ in of_process] for of_process in (first, second)]
            )
            assert sizes.sum(axis=0).tolist() == [45] * 11 + [4]
            assert sizes.sum(axis=1).tolist() == [249, 250]
            assert np.abs(sizes[0] - sizes[1]).max() <= 1

    def test_see_each_row_once_in_an_epoch(self, found):
        for epoch in zip(*(of["shared_file"][1] for of in found), strict=True):
            rows = torch.cat([X for of_process in epoch for X, _ in of_process])
            assert len(rows.unique(dim=0)) == len(_processes.TABLE)

    def test_groups_and_classes_of_one_process_are_those_of_both(self, found):
        targets = [
            joined([target for _, target in of_process["shared_file"][1][0]])
            for of_process in found
        ]
        assert [(target["groups"][:, 0] == 2).sum() for target in targets] == [1, 0]
        assert [(target["y"][:, 1] == 3).sum() for target in targets] == [1, 0]

    def test_read_their_own_rows(self, found):
        """Of 499 rows to train on, and of 101 to validate."""
        assert [of["shared_file"][2] for of in found] == [249 + 50, 250 + 51]

    def test_score_each_sample_with_its_label(self, found):
        """The score of an epoch is the loss that its batches have."""
        (first, losses, scores), (second, _, others) = (
            of_process["held_out_file"] for of_process in found
        )
        for name, values in first.items():
            assert_array_equal(second[name], values)
        assert scores == others
        assert_allclose(scores, losses, rtol=1e-5)

    def test_one_may_have_no_rows(self, found):
        first, second = (of["file_of_one_row"] for of in found)
        for name, values in first.items():
            assert_array_equal(second[name], values)
        assert first["history"].shape[0] == 2

    def test_have_the_same_error(self, found):
        for of_process in found:
            error = of_process["error_in_one_share"]
            assert error == "`sample_weight` must not be negative; found -1."


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
