"""A temporary file of rows, dealt at random to parts that fit into memory."""

import errno
import math
import shutil
import tempfile
import weakref
from itertools import accumulate, pairwise

import numpy as np

__all__ = ["Part", "RowFile"]

PART_BYTES = 2**24
"""Size of a part: the rows among which an epoch is shuffled."""

Part = tuple[int, int]
"""First row of a part, and the row after its last."""


class RowFile:
    """Rows of float32 in a temporary file, dealt at random to parts.

    Each part is a random sample of all rows, whatever their order was: a file that is
    sorted by class is shuffled as well as any other. Rows of a single part keep their
    order. The file has no name where the operating system allows it, and vanishes with
    this object.

    Parameters
    ----------
    n_rows : int
        Number of rows that will be added.
    width : int
        Number of values in a row.

    Raises
    ------
    OSError
        If there is no room for the file.
    """

    def __init__(self, n_rows: int, width: int) -> None:
        self.width = width
        n_bytes = 4 * n_rows * width
        _check_room(n_bytes)
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 (closed below)
        weakref.finalize(self, self._file.close)
        n_parts = max(1, math.ceil(n_bytes / PART_BYTES))
        sizes = [len(range(k, n_rows, n_parts)) for k in range(n_parts)]
        self.parts: list[Part] = list(pairwise(accumulate(sizes, initial=0)))
        self._next = [start for start, _ in self.parts]
        self._n_added = 0
        self._rng = np.random.default_rng(0)

    def add(self, rows: np.ndarray) -> None:
        """Deal rows to the parts, each in its turn."""
        n_parts = len(self.parts)
        if n_parts > 1:
            rows = rows[self._rng.permutation(len(rows))]
        for k in range(n_parts):
            dealt = rows[(k - self._n_added) % n_parts :: n_parts]
            self.write(self._next[k], dealt)
            self._next[k] += len(dealt)
        self._n_added += len(rows)

    def write(self, start: int, rows: np.ndarray) -> None:
        """Write rows from this position on."""
        self._file.seek(4 * self.width * start)
        self._file.write(np.ascontiguousarray(rows, dtype=np.float32).data)

    def read(self, start: int, stop: int) -> np.ndarray:
        """Return the rows of a slice."""
        rows = np.empty((stop - start, self.width), dtype=np.float32)
        self._file.seek(4 * self.width * start)
        self._file.readinto(rows.data)
        return rows


def _check_room(n_bytes: int) -> None:
    folder = tempfile.gettempdir()
    free = shutil.disk_usage(folder).free
    if n_bytes > free:
        raise OSError(
            errno.ENOSPC,
            f"The encoded rows of `X` need {n_bytes / 1e9:.3g} GB in the folder for "
            f"temporary files, which has {free / 1e9:.3g} GB left. Set the environment "
            "variable TMPDIR to another folder",
            folder,
        )
