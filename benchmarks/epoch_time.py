"""Time of one training epoch on Adult: fairtask, a loop by hand, and skorch's default.

- fairtask: `fit` of the defaults, with everything it does around the epochs;
- by hand: a plain torch loop with the same network and the same maths, and the module
  for the distance between groups;
- skorch: `NeuralNetClassifier` with its default DataLoader, same network and optimizer,
  and no fairness loss at all.

They take turns, so that a change of the machine's speed meets all of them. Ratios are
taken round by round, and their median is printed with the range. One thread.

    python benchmarks/epoch_time.py
    python benchmarks/epoch_time.py --against ../another/checkout
"""

import argparse
import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from skorch import NeuralNetClassifier
from torch import nn
from torch.nn.functional import cross_entropy, linear

from fairtask import AuxiliaryFairnessClassifier
from fairtask.datasets import fetch_adult

DEFAULTS = AuxiliaryFairnessClassifier().get_params()
DROPOUT, LR, LAM = (DEFAULTS[name] for name in ("dropout", "lr", "lam"))
DISTANCE_WEIGHT = DEFAULTS.get("representation_weight")  # not in another checkout
BATCH_SIZE = 512  # that of `batch_size="auto"` on Adult
WEIGHT_DECAY = 1.0  # that of `weight_decay=None` with AdamW


def make_trunk(X, y):
    # Another checkout, which has no part in this, may not have it.
    from fairtask._table_encoding import TableEncoding, learn_numbers

    numbers = learn_numbers(X, y[:, None], encoding="piecewise_linear")
    encoding = TableEncoding(numbers)
    return nn.Sequential(
        encoding,
        nn.Linear(encoding.out_features, 128),
        nn.ReLU(),
        nn.Dropout(DROPOUT),
        nn.Linear(128, 64),
        nn.ReLU(),
        nn.Dropout(DROPOUT),
    )


def fit_fairtask(X, y, z, n_epochs):
    classifier = AuxiliaryFairnessClassifier(
        max_epochs=n_epochs, device="cpu", random_state=0
    )
    classifier.fit(X, y, sensitive_features=z)


def fit_by_hand(X, y, z, n_epochs):
    """GLD on (group, class) cells, through a probe, with running means."""
    from fairtask.losses import GroupMeanDistance  # another checkout may not have it

    torch.manual_seed(0)
    trunk, task, probe = make_trunk(X, y), nn.Linear(64, 2), nn.Linear(64, 2)
    X, y, z = torch.tensor(X), torch.tensor(y), torch.tensor(z)
    parameters = [*trunk.parameters(), *task.parameters(), *probe.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=LR, weight_decay=WEIGHT_DECAY)
    n_batches = -(-len(X) // BATCH_SIZE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=LR, total_steps=n_epochs * n_batches, cycle_momentum=False
    )
    running, seen = torch.zeros(4), torch.zeros(4, dtype=torch.bool)
    cells_range = torch.arange(4)
    distance = GroupMeanDistance(64, torch.eye(2, dtype=torch.bool))
    for _ in range(n_epochs):
        total = 0.0
        for indices in torch.randperm(len(X)).split(BATCH_SIZE):
            Xb, yb, zb = X[indices], y[indices], z[indices]
            h = trunk(Xb)
            task_loss = cross_entropy(task(h), yb)
            frozen = linear(h, probe.weight.detach(), probe.bias.detach())
            losses = cross_entropy(frozen, yb, reduction="none")
            members = ((yb * 2 + zb)[:, None] == cells_range).float()
            counts = members.sum(0)
            means = losses @ members / counts.clamp_min(1)
            with torch.no_grad():
                m = (1 - counts / 200).clamp(0, 0.99)  # group_momentum="auto"
                moved = torch.where(seen, m * running + (1 - m) * means, means)
                running = torch.where(counts > 0, moved, running)
                seen = seen | (counts > 0)
            tracked = (running + means - means.detach()).view(2, 2)
            log_p = (-tracked).log_softmax(1)
            divergence = (log_p.exp() * (log_p + np.log(2))).sum(1)
            fairness = torch.expm1(divergence).mean()
            fairness = fairness + DISTANCE_WEIGHT * distance(h, yb, zb)
            fit = cross_entropy(probe(h.detach()), yb)
            loss = LAM * task_loss + (1 - LAM) * fairness + fit
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item()


def fit_skorch(X, y, z, n_epochs):
    NeuralNetClassifier(
        nn.Sequential(make_trunk(X, y), nn.Linear(64, 2)),
        criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.AdamW,
        optimizer__weight_decay=WEIGHT_DECAY,
        lr=LR,
        batch_size=BATCH_SIZE,
        iterator_train__shuffle=True,
        max_epochs=n_epochs,
        train_split=None,
        verbose=0,
    ).fit(X, y)


METHODS = {"fairtask": fit_fairtask, "by hand": fit_by_hand, "skorch": fit_skorch}


def load():
    data = fetch_adult()
    encoder = make_column_transformer(
        (StandardScaler(), make_column_selector(dtype_include="number")),
        remainder=OneHotEncoder(sparse_output=False),
    )
    X = encoder.fit_transform(data.data).astype(np.float32)
    z = data.sensitive_features["sex"].cat.codes.to_numpy().astype(np.int64)
    return X, data.target.to_numpy(), z


def answer(n_epochs):
    """Fit once per line of the standard input, and print the seconds."""
    data = load()
    for _ in sys.stdin:
        print(seconds_of(fit_fairtask, data, n_epochs), flush=True)


class OtherTree:
    """The same fit, by the package in another checkout, in a process of its own."""

    def __init__(self, tree, n_epochs):
        code = f"import epoch_time; epoch_time.answer({n_epochs})"
        folders = [str(tree), str(Path(__file__).parent)]
        self.process = subprocess.Popen(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(folders)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def seconds(self):
        """Fit once."""
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())


def seconds_of(fit, data, n_epochs):
    torch.set_num_threads(1)
    start = time.perf_counter()
    fit(*data, n_epochs)
    return (time.perf_counter() - start) / n_epochs


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--epochs", type=int, default=5, help="epochs per round")
    parser.add_argument("--against", type=Path, help="another checkout of fairtask")
    asked = parser.parse_args()
    data = load()
    turns = {
        name: partial(seconds_of, fit, data, asked.epochs)
        for name, fit in METHODS.items()
    }
    if asked.against:
        turns["other tree"] = OtherTree(asked.against, asked.epochs).seconds
    rounds = [
        {name: turn() for name, turn in turns.items()} for _ in range(asked.rounds + 1)
    ]
    seconds = pd.DataFrame(rounds[1:])  # the first round warms up
    n, d = data[0].shape
    print(f"Adult, n={n}, {d} features, one thread, median of rounds")
    print(seconds.median().map("{:.3f} s per epoch".format).to_string())
    for name in turns.keys() - {"fairtask"}:
        ratios = seconds["fairtask"] / seconds[name]
        low, high = ratios.min(), ratios.max()
        print(f"fairtask / {name}: {ratios.median():.2f} ({low:.2f} to {high:.2f})")


if __name__ == "__main__":
    main()
