"""Time of one training epoch: fairtask, a loop by hand, and other packages.

- fairtask: `fit` of the defaults, with everything it does around the epochs;
- by hand: a plain torch loop with the same network and the same maths, and the module
  for the distance between groups;
- skorch: `NeuralNetClassifier` with its default DataLoader, same network and optimizer,
  and no fairness loss at all;
- with --others, scikit-learn's `MLPClassifier` (no fairness loss, no dropout) and
  fairlearn's `AdversarialFairnessClassifier` with the same layers, for the first
  attribute: both without the encoding of numbers.

The samples are Adult's, or those of --synthetic. The methods take turns, so that a
change of the machine's speed meets all of them. Times are those of the process, which
other programs disturb less. Ratios are taken round by round, and their median is
printed with the range. One thread. With --device cuda, times are those of the clock.

    python benchmarks/epoch_time.py
    python benchmarks/epoch_time.py --against ../another/checkout
    python benchmarks/epoch_time.py --synthetic 30000 100 5 20 --others
    python benchmarks/epoch_time.py --device cuda
"""

import argparse
import os
import subprocess
import sys
import time
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from fairlearn.adversarial import AdversarialFairnessClassifier
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from skorch import NeuralNetClassifier
from torch import nn
from torch.nn.functional import cross_entropy, linear

from fairtask import AuxiliaryFairnessClassifier
from fairtask.datasets import fetch_adult

DEFAULTS = AuxiliaryFairnessClassifier().get_params()
DROPOUT, LR, LAM = (DEFAULTS[name] for name in ("dropout", "lr", "lam"))
DISTANCE_WEIGHT = DEFAULTS.get("representation_weight")  # not in another checkout
WEIGHT_DECAY = 1.0  # that of `weight_decay=None` with AdamW


def batch_size_of(X):
    """Return the number of samples that `batch_size="auto"` takes."""
    return min(512, max(32, len(X) // 32))


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


def fit_fairtask(X, y, Z, n_epochs, device):
    classifier = AuxiliaryFairnessClassifier(
        max_epochs=n_epochs, device=device, random_state=0
    )
    classifier.fit(X, y, sensitive_features=Z)


class Divergence:
    """GLD on (class, group) cells of one attribute, with running means."""

    def __init__(self, n_groups, device):
        self.n_groups = n_groups
        self.cells = torch.arange(2 * n_groups, device=device)
        self.running = torch.zeros(2 * n_groups, device=device)
        self.seen = torch.zeros(2 * n_groups, dtype=torch.bool, device=device)

    def __call__(self, losses, y, z):
        """Return the penalty of a batch."""
        members = ((y * self.n_groups + z)[:, None] == self.cells).float()
        counts = members.sum(0)
        means = losses @ members / counts.clamp_min(1)
        with torch.no_grad():
            m = (1 - counts / 200).clamp(0, 0.99)  # group_momentum="auto"
            moved = torch.where(self.seen, m * self.running + (1 - m) * means, means)
            self.running = torch.where(counts > 0, moved, self.running)
            self.seen = self.seen | (counts > 0)
        tracked = (self.running + means - means.detach()).view(2, self.n_groups)
        log_p = (-tracked).log_softmax(1)
        divergence = (log_p.exp() * (log_p + np.log(self.n_groups))).sum(1)
        return torch.expm1(divergence).mean()


def fit_by_hand(X, y, Z, n_epochs, device):
    """GLD through a probe, and the distance, for each attribute."""
    from fairtask.losses import GroupMeanDistance  # another checkout may not have it

    torch.manual_seed(0)
    trunk, task = make_trunk(X, y).to(device), nn.Linear(64, 2, device=device)
    probes = [nn.Linear(64, 2, device=device) for _ in Z.T]
    n_groups = [int(z.max()) + 1 for z in Z.T]
    divergences = [Divergence(n, device) for n in n_groups]
    strata = torch.eye(2, dtype=torch.bool)
    distances = [GroupMeanDistance(64, strata, n).to(device) for n in n_groups]
    X, y, Z = (torch.tensor(part, device=device) for part in (X, y, Z))
    batch_size = batch_size_of(X)
    heads = [parameter for probe in probes for parameter in probe.parameters()]
    optimizer = torch.optim.AdamW(
        [*trunk.parameters(), *task.parameters(), *heads],
        lr=LR,
        weight_decay=WEIGHT_DECAY,
    )
    n_batches = -(-len(X) // batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=LR, total_steps=n_epochs * n_batches, cycle_momentum=False
    )
    for _ in range(n_epochs):
        total = 0.0
        for indices in torch.randperm(len(X), device=device).split(batch_size):
            Xb, yb, Zb = X[indices], y[indices], Z[indices]
            h = trunk(Xb)
            loss = LAM * cross_entropy(task(h), yb)
            for s, probe in enumerate(probes):
                frozen = linear(h, probe.weight.detach(), probe.bias.detach())
                losses = cross_entropy(frozen, yb, reduction="none")
                fairness = divergences[s](losses, yb, Zb[:, s])
                fairness = fairness + DISTANCE_WEIGHT * distances[s](h, yb, Zb[:, s])
                loss = loss + (1 - LAM) * fairness
                loss = loss + cross_entropy(probe(h.detach()), yb)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item()


def fit_skorch(X, y, Z, n_epochs, device):
    NeuralNetClassifier(
        nn.Sequential(make_trunk(X, y), nn.Linear(64, 2)),
        criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.AdamW,
        optimizer__weight_decay=WEIGHT_DECAY,
        lr=LR,
        batch_size=batch_size_of(X),
        iterator_train__shuffle=True,
        max_epochs=n_epochs,
        train_split=None,
        verbose=0,
        device=device,
    ).fit(X, y)


def fit_scikit_learn(X, y, Z, n_epochs, device):
    classifier = MLPClassifier(
        (128, 64),
        learning_rate_init=LR,
        batch_size=batch_size_of(X),
        max_iter=n_epochs,
        n_iter_no_change=n_epochs,
        random_state=0,
    )
    classifier.fit(X, y)


def fit_fairlearn(X, y, Z, n_epochs, device):
    classifier = AdversarialFairnessClassifier(
        backend="torch",
        predictor_model=[128, "relu", 64, "relu"],
        adversary_model=[],
        learning_rate=LR,
        batch_size=batch_size_of(X),
        epochs=n_epochs,
        cuda=device if device != "cpu" else None,
        random_state=0,
    )
    classifier.fit(X, y, sensitive_features=Z[:, 0])


METHODS = {"fairtask": fit_fairtask, "by hand": fit_by_hand, "skorch": fit_skorch}
OTHERS = {"scikit-learn": fit_scikit_learn, "fairlearn": fit_fairlearn}


def load_adult():
    data = fetch_adult()
    encoder = make_column_transformer(
        (StandardScaler(), make_column_selector(dtype_include="number")),
        remainder=OneHotEncoder(sparse_output=False),
    )
    X = encoder.fit_transform(data.data).astype(np.float32)
    z = data.sensitive_features["sex"].cat.codes.to_numpy().astype(np.int64)
    return X, data.target.to_numpy(), z[:, None]


def make_samples(n, d, n_attributes, n_groups):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, d)).astype(np.float32)
    y = (X[:, :3].sum(axis=1) + rng.normal(size=n) > 0).astype(np.int64)
    return X, y, rng.integers(n_groups, size=(n, n_attributes))


def answer(n_epochs, device, *sizes):
    """Fit once per line of the standard input, and print the seconds."""
    data = make_samples(*sizes) if sizes else load_adult()
    for _ in sys.stdin:
        print(seconds_of(fit_fairtask, data, n_epochs, device), flush=True)


class OtherTree:
    """The same fit, by the package in another checkout, in a process of its own."""

    def __init__(self, tree, *arguments):
        code = f"import epoch_time; epoch_time.answer{arguments}"
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


def seconds_of(fit, data, n_epochs, device):
    torch.set_num_threads(1)
    clock = time.process_time if device == "cpu" else time.perf_counter
    start = clock()
    with warnings.catch_warnings(action="ignore"):  # epochs are too few to learn
        fit(*data, n_epochs, device)
    return (clock() - start) / n_epochs


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--epochs", type=int, default=5, help="epochs per round")
    parser.add_argument("--against", type=Path, help="another checkout of fairtask")
    parser.add_argument(
        "--synthetic",
        type=int,
        nargs=4,
        default=(),
        metavar=("SAMPLES", "FEATURES", "ATTRIBUTES", "GROUPS"),
    )
    parser.add_argument("--others", action="store_true", help="two packages more")
    parser.add_argument("--device", default="cpu")
    asked = parser.parse_args()
    data = make_samples(*asked.synthetic) if asked.synthetic else load_adult()
    methods = METHODS | OTHERS if asked.others else METHODS
    turns = {
        name: partial(seconds_of, fit, data, asked.epochs, asked.device)
        for name, fit in methods.items()
    }
    if asked.against:
        other = OtherTree(asked.against, asked.epochs, asked.device, *asked.synthetic)
        turns["other tree"] = other.seconds
    rounds = [
        {name: turn() for name, turn in turns.items()} for _ in range(asked.rounds + 1)
    ]
    seconds = pd.DataFrame(rounds[1:])  # the first round warms up
    n, d = data[0].shape
    print(
        f"{'Synthetic' if asked.synthetic else 'Adult'}, n={n}, {d} features, "
        f"{data[2].shape[1]} attribute(s), {asked.device}, one thread, "
        "median of rounds"
    )
    print(seconds.median().map("{:.3f} s per epoch".format).to_string())
    for name in list(turns)[1:]:
        ratios = seconds["fairtask"] / seconds[name]
        low, high = ratios.min(), ratios.max()
        print(f"fairtask / {name}: {ratios.median():.2f} ({low:.2f} to {high:.2f})")


if __name__ == "__main__":
    main()
