"""Time of one training epoch on Adult: ours, a loop by hand, and skorch's default.

- ours: `fit` of the defaults, with everything it does around the epochs;
- by hand: a plain torch loop with the same network and the same maths;
- skorch: `NeuralNetClassifier` with its default DataLoader, same network and optimizer,
  and no fairness loss at all.

The three take turns, so that a change of the machine's speed meets all of them; the
ratios are taken round by round and their median is printed. One thread.

    python benchmarks/epoch_time.py
"""

import argparse
import time

import numpy as np
import torch
from quality import make_encoder
from skorch import NeuralNetClassifier
from torch import nn
from torch.nn.functional import cross_entropy, linear

from fairtask import AuxiliaryFairnessClassifier
from fairtask.datasets import fetch_adult

DEFAULTS = AuxiliaryFairnessClassifier().get_params()
DROPOUT, LR, LAM = (DEFAULTS[name] for name in ("dropout", "lr", "lam"))
BATCH_SIZE = 512  # what `batch_size="auto"` stands for on Adult
WEIGHT_DECAY = 1.0  # what `weight_decay=None` stands for with AdamW


def make_trunk(n_features):
    return nn.Sequential(
        nn.Linear(n_features, 128),
        nn.ReLU(),
        nn.Dropout(DROPOUT),
        nn.Linear(128, 64),
        nn.ReLU(),
        nn.Dropout(DROPOUT),
    )


def fit_ours(X, y, z, n_epochs):
    classifier = AuxiliaryFairnessClassifier(
        max_epochs=n_epochs, device="cpu", random_state=0
    )
    classifier.fit(X, y, sensitive_features=z)


def fit_by_hand(X, y, z, n_epochs):
    """GLD on (group, class) cells, through a probe, with running means."""
    torch.manual_seed(0)
    X, y, z = torch.tensor(X), torch.tensor(y), torch.tensor(z)
    trunk, task, probe = make_trunk(X.shape[1]), nn.Linear(64, 2), nn.Linear(64, 2)
    parameters = [*trunk.parameters(), *task.parameters(), *probe.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=LR, weight_decay=WEIGHT_DECAY)
    n_batches = -(-len(X) // BATCH_SIZE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=LR, total_steps=n_epochs * n_batches, cycle_momentum=False
    )
    running, seen = torch.zeros(4), torch.zeros(4, dtype=torch.bool)
    cells_range = torch.arange(4)
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
            fit = cross_entropy(probe(h.detach()), yb)
            loss = LAM * task_loss + (1 - LAM) * fairness + fit
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item()


def fit_skorch(X, y, z, n_epochs):
    NeuralNetClassifier(
        nn.Sequential(make_trunk(X.shape[1]), nn.Linear(64, 2)),
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


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--epochs", type=int, default=5, help="epochs per round")
    arguments = parser.parse_args()
    torch.set_num_threads(1)

    data = fetch_adult()
    X = make_encoder().fit_transform(data.data).astype(np.float32)
    y = data.target.to_numpy()
    z = data.sensitive_features["sex"].cat.codes.to_numpy().astype(np.int64)
    methods = {"ours": fit_ours, "by hand": fit_by_hand, "skorch": fit_skorch}
    times = {name: [] for name in methods}
    for i in range(arguments.rounds + 1):
        for name, fit in methods.items():
            start = time.perf_counter()
            fit(X, y, z, arguments.epochs)
            elapsed = (time.perf_counter() - start) / arguments.epochs
            if i > 0:  # the first round warms up
                times[name].append(elapsed)
    seconds = {name: np.array(values) for name, values in times.items()}
    print(f"Adult, n={len(X)}, {X.shape[1]} features, one thread, median of rounds")
    for name, values in seconds.items():
        print(f"{name:10s} {np.median(values):.3f} s per epoch")
    for name in ("by hand", "skorch"):
        ratio = np.median(seconds["ours"] / seconds[name])
        print(f"ours / {name}: {ratio:.2f}")


if __name__ == "__main__":
    main()
