"""Time of one training epoch in several processes against one, with the same batches.

The numbers of processes take turns, so that a change of the machine's speed meets all
of them. The median time per epoch is printed, and its ratio to that of one process.
"Ideal" is the ratio without any exchange: of trainings that run at once, each by
itself, divided by their number. It is half for two processes where each has a whole
core. Each process computes with one thread.

    python benchmarks/processes.py
    python benchmarks/processes.py --processes 4 --rounds 5
"""

import argparse
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from fairtask import AuxiliaryFairnessClassifier
from fairtask.datasets import make_biased_classification

CASES = {
    "(128, 64), batches of 512": {"hidden_layer_sizes": (128, 64), "batch_size": 512},
    "(128, 64), batches of 4,096": {
        "hidden_layer_sizes": (128, 64),
        "batch_size": 4096,
    },
    "(1024, 128), batches of 512": {
        "hidden_layer_sizes": (1024, 128),
        "batch_size": 512,
    },
    "(1024, 1024), batches of 512": {
        "hidden_layer_sizes": (1024, 1024),
        "batch_size": 512,
    },
    "(1024, 1024), batches of 4,096": {
        "hidden_layer_sizes": (1024, 1024),
        "batch_size": 4096,
    },
}
N_EPOCHS = 3
"""The first epoch, which warms up, does not count."""


def measure(n_samples, n_features):
    """Print the time of an epoch for each case."""
    X, y, z = make_biased_classification(
        n_samples, n_features=n_features, random_state=0
    )
    for settings in CASES.values():
        classifier = AuxiliaryFairnessClassifier(
            max_epochs=N_EPOCHS, n_threads=1, device="cpu", random_state=0, **settings
        )
        classifier.fit(X, y, sensitive_features=z)
        if os.environ["RANK"] == "0":
            print(classifier.history_["dur"].iloc[1:].min())


def times(n_processes, arguments):
    """Return the time of an epoch for each case, with a number of processes."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    output = subprocess.run(
        [*torchrun, f"--nproc-per-node={n_processes}", __file__, *arguments],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        check=True,
        text=True,
    ).stdout
    return [float(line) for line in output.split()]


def times_at_once(n, arguments):
    """Return the mean time of an epoch, where each process trains by itself."""
    with ThreadPoolExecutor(n) as pool:
        return np.mean([*pool.map(times, [1] * n, [arguments] * n)], axis=0)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--features", type=int, default=100)
    arguments = parser.parse_args()
    if "RANK" in os.environ:  # a process of torchrun
        measure(arguments.samples, arguments.features)
        return
    n, given = arguments.processes, sys.argv[1:]
    rounds = [
        [times(1, given), times(n, given), times_at_once(n, given)]
        for _ in range(arguments.rounds)
    ]
    alone, together, at_once = np.moveaxis(rounds, 1, 0)
    ratios, ideal = together / alone, at_once / alone / n
    print(f"{'network':32} {'1':>8} {n:>8}   ratio (range)      ideal")
    for i, name in enumerate(CASES):
        ratio, low, high = (f(ratios[:, i]) for f in (np.median, np.min, np.max))
        seconds = [np.median(each[:, i]) for each in (alone, together)]
        print(
            f"{name:32} {seconds[0]:7.2f}s {seconds[1]:7.2f}s   "
            f"{ratio:.2f} ({low:.2f}-{high:.2f})   {np.median(ideal[:, i]):.2f}"
        )


if __name__ == "__main__":
    main()
