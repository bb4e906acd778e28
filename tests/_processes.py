"""Trainings that are the same in one process and in several.

torchrun runs this file: each process writes the results of all trainings.
"""

import os
import pickle
import sys
import threading
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

import numpy as np
import pandas as pd
from skorch.callbacks import Callback, GradientNormClipping
from torch import nn
from torchjd.aggregation import PCGrad

from fairtask import (
    AuxiliaryFairnessClassifier,
    AuxiliaryFairnessImageClassifier,
    _row_file,
)
from fairtask._data import InMemorySource
from fairtask.baselines import (
    AdversarialClassifier,
    GroupSpecificClassifier,
    RegularizedClassifier,
)
from fairtask.datasets import make_biased_classification

X, y, z = make_biased_classification(500, random_state=0)
RNG = np.random.default_rng(0)
RARE = np.where(np.arange(500) == 7, 2, z)  # a group of one sample
UNKNOWN = [
    None if is_unknown else group
    for is_unknown, group in zip(RNG.random(500) < 0.3, z, strict=True)
]
SEVERAL = {"a": UNKNOWN, "b": RNG.integers(3, size=500)}
TASKS = np.column_stack([y, RNG.integers(3, size=500)])
WEIGHTS = RNG.random(500)
PIXELS = RNG.integers(255, size=(30, 32, 32, 3), dtype=np.uint8)

make = partial(AuxiliaryFairnessClassifier, max_epochs=5, batch_size=45, random_state=0)


def results(classifier):
    """Return the losses of each step and the history, and the weights at the end."""
    history = classifier.net_.history
    steps = []
    if history[0, "batches"]:  # those of a training on files are not kept
        steps = history[:, "batches", :, "train_loss"]
    return {
        "steps": np.array(steps).ravel(),
        "history": classifier.history_.drop(columns="dur").to_numpy(float),
        "groups": classifier.group_history_.to_numpy(),
        **{k: v.numpy() for k, v in classifier.net_.module_.state_dict().items()},
    }


def defaults():
    return make().fit(X, y, sensitive_features=z)


def rare_group():
    return make(parity="overall").fit(X, y, sensitive_features=RARE)


def several():
    classifier = make(class_weight="balanced", early_stopping=True)
    return classifier.fit(X, TASKS, sensitive_features=SEVERAL, sample_weight=WEIGHTS)


def single_samples():
    """Each batch has fewer samples than there are processes."""
    classifier = make(batch_size=1, early_stopping=True, max_epochs=1)
    rows = slice(60)
    return classifier.fit(
        X[rows], y[rows], sensitive_features=z[rows], sample_weight=WEIGHTS[rows]
    )


def erased():
    classifier = make(fairness_head="task", erase=True, max_epochs=2)
    return classifier.fit(X, y, sensitive_features=z)


def continued():
    classifier = make(warm_start=True, max_epochs=2)
    return [classifier.fit(X, y, sensitive_features=z) for _ in range(2)][-1]


def stream():
    classifier = make()
    for rows in (slice(250), slice(250, 500)):
        classifier.partial_fit(X[rows], y[rows], sensitive_features=z[rows])
    return classifier


def adversarial():
    classifier = AdversarialClassifier(max_epochs=2, batch_size=45, random_state=0)
    return classifier.fit(X, y, sensitive_features=SEVERAL, sample_weight=WEIGHTS)


def group_specific():
    classifier = GroupSpecificClassifier(
        max_epochs=2, batch_size=45, offset_penalty=0.1, random_state=0
    )
    return classifier.fit(X, y, sensitive_features=SEVERAL, sample_weight=WEIGHTS)


def multipliers():
    classifier = RegularizedClassifier(
        fairness_loss="dpl",
        multiplier_lr=0.1,
        max_epochs=2,
        batch_size=45,
        random_state=0,
    )
    return classifier.fit(X, y, sensitive_features=z)


def aggregated():
    classifier = make(
        aggregator=PCGrad(),
        callbacks=[GradientNormClipping(1.0)],
        max_epochs=2,
    )
    return classifier.fit(X, y, sensitive_features=SEVERAL)


def images():
    classifier = AuxiliaryFairnessImageClassifier(
        "test_convnext",
        pretrained=False,
        image_size=32,
        batch_size=7,
        max_epochs=1,
        random_state=0,
        augmentation={"hflip": 0.5},
    )
    rows = slice(30)
    return classifier.fit(PIXELS, y[rows], sensitive_features=z[rows])


EQUAL = {
    training.__name__: training
    for training in (
        defaults,
        rare_group,
        several,
        single_samples,
        erased,
        continued,
        stream,
        adversarial,
        group_specific,
        multipliers,
        aggregated,
        images,
    )
}
"""Trainings whose results are those of one process."""


class Recorder(Callback):
    """Keeps the first feature of each sample that a process is trained on."""

    def on_train_begin(self, net, *args, **kwargs):
        self.features_ = []

    def on_batch_begin(self, net, batch, training=False, **kwargs):
        self.features_ += batch[0][:, 0].tolist()


TABLE = pd.DataFrame(X).add_prefix("x")
TABLE["job"] = np.array(["clerk", "actor", None])[RNG.integers(3, size=500)]
TABLE.loc[450, "job"] = "judge"
TABLE["first"], TABLE["second"] = TASKS.T
TABLE.loc[3, "second"] = 3
TABLE["rare"], TABLE["unknown"], TABLE["w"] = RARE, UNKNOWN, WEIGHTS
TABLE = TABLE.iloc[:499]  # two processes cannot have as many rows each
NAMES = {
    "y": ["first", "second"],
    "sensitive_features": ["rare", "unknown"],
    "sample_weight": "w",
}
N_VAL = 101


class Batches(Callback):
    """Keeps the batches of each epoch that a process is trained on."""

    def on_train_begin(self, net, *args, **kwargs):
        self.epochs_ = []

    def on_epoch_begin(self, net, *args, **kwargs):
        self.epochs_.append([])

    def on_batch_begin(self, net, batch, training=False, **kwargs):
        if training:
            self.epochs_[-1].append(batch)


@contextmanager
def in_files(*tables):
    """Write tables, in small row groups; make parts of few rows."""
    in_parts = mock.patch.object(_row_file, "PART_BYTES", 3000)
    with TemporaryDirectory() as folder, in_parts:
        paths = [Path(folder) / f"{i}.parquet" for i, _ in enumerate(tables)]
        for table, path in zip(tables, paths, strict=True):
            table.to_parquet(path, row_group_size=60)
        yield paths


def fit_file():
    """Rare groups, classes and categories are in the rows of one process."""
    classifier = make(
        class_weight="balanced", early_stopping=True, callbacks=[("batches", Batches())]
    )
    with in_files(TABLE, TABLE[:N_VAL]) as (path, path_val):
        return classifier.fit(
            path,
            **NAMES,
            X_val=path_val,
            y_val=NAMES["y"],
            sensitive_features_val=NAMES["sensitive_features"],
        )


def shared_file():
    """Return the results, the batches, and the number of rows that were written."""
    add, n_rows = _row_file.RowFile.add, []

    def count(file, rows):
        n_rows.append(len(rows))
        add(file, rows)

    with mock.patch.object(_row_file.RowFile, "add", count):
        classifier = fit_file()
    return (
        results(classifier),
        dict(classifier.net_.callbacks_)["batches"].epochs_,
        sum(n_rows),
    )


def held_out_file():
    """Return the results, the validation losses, and the log losses that are scored."""
    scores = []

    def log_loss(y, probabilities, groups):
        of_classes = np.searchsorted(np.unique(TABLE["first"]), y)
        scores.append(-np.log(probabilities[np.arange(len(y)), of_classes]).mean())
        return -scores[-1]

    classifier = make(early_stopping=True, epoch_scoring=log_loss, erase=True)
    evaluated_at_once = mock.patch.object(InMemorySource, "evaluated_at_once", 7)
    with in_files(TABLE.drop(columns="second")) as (path,), evaluated_at_once:
        classifier.fit(path, "first", sensitive_features="rare")
    return results(classifier), classifier.history_["valid_task_loss"], scores


def file_of_one_row():
    """One of the processes has no row."""
    classifier = make()
    for rows in (slice(None), slice(1)):
        with in_files(TABLE[rows]) as (path,):
            classifier.partial_fit(path, **NAMES)
    return results(classifier)


def error_in_one_share():
    """The last row has an error, which one process reads."""
    table = TABLE.copy()
    table.loc[498, "w"] = -1
    with in_files(table) as (path,):
        return error_of(lambda: make().fit(path, **NAMES))


def modules_of_torch():
    """They draw random numbers for a part of the batch, and normalise it."""

    def trunk(n):
        return nn.Sequential(
            nn.Linear(n, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.2)
        )

    classifier = make(trunk=trunk, callbacks=[("recorder", Recorder())])
    found = results(classifier.fit(X, y, sensitive_features=z))
    return found, dict(classifier.net_.callbacks_)["recorder"].features_


def unseeded():
    """The processes have other random numbers, unless the first one decides."""
    rank = int(os.environ["RANK"])
    np.random.seed(rank)  # noqa: NPY002
    classifier = make(random_state=None, early_stopping=True, n_threads=1 + rank)
    return results(classifier.fit(X, y, sensitive_features=z)), None


def error_of(fit):
    try:
        fit()
    except ValueError as error:
        return str(error)
    return None


def other_labels():
    rank = int(os.environ["RANK"])
    return error_of(lambda: make().fit(X, np.roll(y, rank), sensitive_features=z))


def other_files():
    rank = int(os.environ["RANK"])
    with in_files(TABLE[rank:]) as (path,):
        return error_of(lambda: make().fit(path, **NAMES))


def other_parameter():
    rank = int(os.environ["RANK"])
    return error_of(lambda: make(lr=1e-3 * (1 + rank)).fit(X, y, sensitive_features=z))


def only_one_validates():
    """The first process does not know of the other's validation samples."""
    rank = int(os.environ["RANK"])
    validation = {"X_val": X, "y_val": y} if rank else {}
    return error_of(lambda: make().fit(X, y, sensitive_features=z, **validation))


def other_class_weight():
    """Class weights of rows in a file, which are other rows in each process."""
    labels = np.unique(TABLE["first"]).tolist()
    weight = dict.fromkeys(labels, 1) | {labels[-1]: 1 + int(os.environ["RANK"])}
    classifier = make(class_weight=weight)
    with in_files(TABLE) as (path,):
        names = {"y": "first", "sensitive_features": "rare"}
        return error_of(lambda: classifier.fit(path, **names))


def in_a_thread():
    """The trainings of the processes differ, and do not wait for each other."""
    classifier = make(lr=1e-3 * (1 + int(os.environ["RANK"])), max_epochs=1)
    thread = threading.Thread(
        target=classifier.fit, args=(X, y), kwargs={"sensitive_features": z}
    )
    thread.start()
    thread.join()
    return classifier.lr, results(classifier)


TOGETHER = (
    modules_of_torch,
    unseeded,
    other_labels,
    other_files,
    other_parameter,
    only_one_validates,
    other_class_weight,
    in_a_thread,
    shared_file,
    held_out_file,
    file_of_one_row,
    error_in_one_share,
)


if __name__ == "__main__":
    found = {name: results(training()) for name, training in EQUAL.items()}
    found |= {training.__name__: training() for training in TOGETHER}
    path = Path(sys.argv[1]) / os.environ["RANK"]
    path.write_bytes(pickle.dumps(found))
