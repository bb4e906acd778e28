"""Parquet files larger than memory: peak memory and time per row.

Tables of 20 columns, 6 of them categorical, of 1, 4 and 16 million rows, are written
into the folder for temporary files and fitted from there. Those of up to 4 million rows
are fitted in memory as well. Each fit has a process of its own, with one thread.
"above" is the peak above that of a fit of 1,000 rows.

16 million rows take 1.4 GB of Parquet and 1.3 GB of encoded rows. Set TMPDIR to a
folder with more room.

    python benchmarks/parquet.py
    python benchmarks/parquet.py --millions 1 4 --epochs 3
    python benchmarks/parquet.py --millions 0.5 1 2 4 --table docs/tables/parquet.csv
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from fairtask import AuxiliaryFairnessClassifier

ROW_GROUP = 2**17
LEVELS = (2, 5, 10, 20, 50, 100)
"""Numbers of categories; the first three columns are dictionaries."""

MOST_IN_MEMORY = 4_000_000
"""Number of rows."""


def make_row_group(n_rows, rng):
    X = rng.normal(size=(n_rows, 14)).astype(np.float32)
    z = rng.integers(2, size=n_rows)
    score = X[:, 0] + 0.5 * X[:, 1] * X[:, 2] + 0.5 * z + rng.logistic(size=n_rows)
    columns = {f"number_{i}": x for i, x in enumerate(X.T)}
    for i, n_levels in enumerate(LEVELS):
        names = pa.array([f"level {j}" for j in range(n_levels)])
        codes = pa.array(rng.integers(n_levels, size=n_rows), pa.int32())
        column = pa.DictionaryArray.from_arrays(codes, names)
        columns[f"category_{i}"] = column if i < 3 else column.cast(pa.string())
    columns["income"] = pa.array(np.array(["low", "high"])[(score > 0).astype(int)])
    columns["sex"] = pa.array(np.array(["f", "m"])[z])
    return pa.table(columns)


def write(path, n_rows):
    rng = np.random.default_rng(0)
    with pq.ParquetWriter(path, make_row_group(2, rng).schema) as writer:
        for start in range(0, n_rows, ROW_GROUP):
            writer.write_table(make_row_group(min(ROW_GROUP, n_rows - start), rng))


def fit(path, where, n_epochs):
    """Fit in this process, and print what it took."""
    torch.set_num_threads(1)
    classifier = AuxiliaryFairnessClassifier(
        max_epochs=n_epochs, device="cpu", random_state=0
    )
    start = time.perf_counter()
    if where == "Parquet":
        classifier.fit(path, "income", sensitive_features="sex")
    else:
        table = pd.read_parquet(path)
        y, z = table.pop("income"), table.pop("sex")
        classifier.fit(table, y, sensitive_features=z)
    seconds = time.perf_counter() - start
    epochs = classifier.history_["dur"]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    found = {
        "peak MiB": peak,
        "before and after": seconds - epochs.sum(),
        "epoch": epochs.mean(),
    }
    print(json.dumps(found))


def measure(n_rows, where, n_epochs):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.parquet"
        write(path, n_rows)
        command = [sys.executable, __file__, "--fit", str(path), where]
        command += ["--epochs", str(n_epochs)]
        result = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found = json.loads(result.stdout)
    per_row = {
        f"{name}, us per row": 1e6 * found[name] / n_rows
        for name in ("before and after", "epoch")
    }
    return {"rows": n_rows, "X": where, "peak MiB": found["peak MiB"], **per_row}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--millions", nargs="+", type=float, default=[1, 4, 16])
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--table", type=Path, help="CSV file for the table")
    parser.add_argument("--fit", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.fit:
        fit(*asked.fit, asked.epochs)
        return
    sizes = [int(1e6 * millions) for millions in sorted(asked.millions)]
    runs = [(n, "in memory") for n in [1000, *sizes] if n <= MOST_IN_MEMORY]
    runs += [(n, "Parquet") for n in sizes]
    table = pd.DataFrame([measure(*run, asked.epochs) for run in runs])
    table.insert(3, "above", table["peak MiB"] - table["peak MiB"][0])
    print(f"20 columns, {asked.epochs} epoch(s), one thread")
    print(table.to_string(index=False, float_format="{:.1f}".format))
    if asked.table:
        table.round(1).to_csv(asked.table, index=False)


if __name__ == "__main__":
    main()
