"""Peak memory of `fit` and `predict_proba`, in multiples of the encoded input.

The unit is the table as the network gets it: four bytes for each number and for each
code of a category. Of a sparse matrix it is the matrix itself, in float32. Counted is
the memory that a call takes beside its input. Each number comes from a process of its
own, which has fitted a few rows before, so that its libraries are loaded. The pages of
a memory map have been read before, too; they do not count, because the system drops
them where memory is short.

    python benchmarks/memory.py
"""

import argparse
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import sparse

from fairtask import AuxiliaryFairnessClassifier

N_NUMBERS, N_CATEGORICAL = 50, 10
N_FEW = 2_000
LEVELS = [f"level {i}" for i in range(20)]


def float32(n):
    # In place: a peak before the measurement would hide the one that is measured.
    X = np.empty((n, N_NUMBERS), dtype=np.float32)
    return np.random.default_rng(0).standard_normal(out=X, dtype=np.float32)


def float64(n):
    return np.random.default_rng(0).standard_normal(out=np.empty((n, N_NUMBERS)))


def fortran(n):
    X = np.empty((N_NUMBERS, n), dtype=np.float32)
    return np.random.default_rng(0).standard_normal(out=X, dtype=np.float32).T


def read_only(n):
    X = float32(n)
    X.flags.writeable = False
    return X


def memory_map(n):
    folder = tempfile.mkdtemp()
    path = Path(folder) / "X.npy"
    X = np.lib.format.open_memmap(path, "w+", np.float32, (n, N_NUMBERS))
    for start in range(0, n, N_FEW):
        X[start : start + N_FEW] = float32(len(X[start : start + N_FEW]))
    X.flush()
    del X
    return np.load(path, mmap_mode="r")


def frame(n):
    X = np.random.default_rng(0).standard_normal(out=np.empty((N_NUMBERS, n)))
    return pd.DataFrame(X.T, copy=False)


def frame_of_float32(n):
    return pd.DataFrame(fortran(n), copy=False)


def categorical_frame(n):
    X = frame(n)
    for j in range(N_CATEGORICAL):
        codes = np.random.default_rng(j).integers(20, size=n, dtype=np.int8)
        X[N_NUMBERS + j] = pd.Categorical.from_codes(codes, LEVELS)
    return X


def string_frame(n):
    X = frame(n)
    for j in range(N_CATEGORICAL):
        codes = np.random.default_rng(j).integers(20, size=n, dtype=np.int8)
        X[N_NUMBERS + j] = np.array(LEVELS, dtype=object)[codes]
    return X


def csr(n, n_columns=2_000, n_per_row=50):
    rng = np.random.default_rng(0)
    columns = np.empty((n, n_per_row), dtype=np.int32)
    for row in columns:
        row[:] = rng.integers(n_columns // n_per_row, size=n_per_row)
    columns += np.arange(n_per_row, dtype=np.int32) * (n_columns // n_per_row)
    ends = np.arange(n + 1, dtype=np.int32) * n_per_row
    values = np.empty(n * n_per_row, dtype=np.float32)
    rng.standard_normal(out=values, dtype=np.float32)
    return sparse.csr_matrix((values, columns.ravel(), ends), shape=(n, n_columns))


def wide_csr(n):
    return csr(n // 10, n_columns=20_000)


INPUTS = {
    make.__name__: make
    for make in (
        float32,
        float64,
        fortran,
        read_only,
        memory_map,
        frame,
        frame_of_float32,
        categorical_frame,
        string_frame,
        csr,
        wide_csr,
    )
}


def encoded_size(X):
    """Bytes of the input as the network gets it."""
    if sparse.issparse(X):
        return X.data.nbytes + X.indices.nbytes + X.indptr.nbytes
    return 4 * X.shape[0] * X.shape[1]


def labels_of(X):
    """Labels that depend on each number, so that each gets bins."""
    total = np.zeros(X.shape[0])
    if isinstance(X, pd.DataFrame):
        for j in range(N_NUMBERS):
            total += X.iloc[:, j]
    else:  # in one call, which takes no memory, and reads a memory map
        total += np.asarray(X.sum(axis=1)).ravel()
    return (total > 0).astype(int)


def peak():
    """Most memory that this process has held so far, in bytes."""
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used if sys.platform == "darwin" else 1024 * used


def measure(name, method, n):
    """Print the peak of one call in multiples of the encoded input."""
    X = INPUTS[name](n)
    n = X.shape[0]
    y = labels_of(X)
    z = np.arange(n) % 3
    classifier = AuxiliaryFairnessClassifier(
        max_epochs=1, device="cpu", random_state=0, n_threads=1
    )
    few = X[:N_FEW]
    classifier.fit(few, y[:N_FEW], sensitive_features=z[:N_FEW])
    classifier.predict_proba(few)
    before = peak()
    if method == "fit":
        classifier.fit(X, y, sensitive_features=z)
    else:
        classifier.predict_proba(X)
    print((peak() - before) / encoded_size(X))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--inputs", nargs="+", choices=INPUTS, default=list(INPUTS))
    asked = parser.parse_args()
    print(f"{asked.rows} rows; peak beside the input / encoded input")
    for name in asked.inputs:
        ratios = {}
        for method in ("fit", "predict"):
            code = f"import memory; memory.measure({name!r}, {method!r}, {asked.rows})"
            call = [sys.executable, "-W", "ignore", "-c", code]
            answer = subprocess.run(
                call, cwd=Path(__file__).parent, capture_output=True, check=True
            )
            ratios[method] = float(answer.stdout)
        print(f"{name:18} fit {ratios['fit']:.2f}   predict {ratios['predict']:.2f}")


if __name__ == "__main__":
    main()
