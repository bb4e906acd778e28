"""Runs on disk: a file each, written whole or not at all."""

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow
import pyarrow.parquet

from fairtask.experiments._cases import DataSource

__all__ = ["Experiment", "Run", "Store", "file_name"]

DESCRIPTION = "experiment.json"
ASKED = "asked.json"
METADATA = b"fairtask"


@dataclass(frozen=True)
class Experiment:
    """What the runs of a folder have in common.

    Attributes
    ----------
    source : DataSource
    preset : {"paper", "tuned"}
    parameters : dict
        Parameters of the networks that come before the recipe's.
    digest : str
        SHA-256 of the user's CSV file, "" without one.
    """

    source: DataSource
    preset: str
    parameters: Mapping[str, Any]
    digest: str = ""

    @property
    def name(self) -> str:
        """Name of the folder."""
        parts = [self.source.name, "+".join(self.source.attributes), self.preset]
        if self.source.drop_sensitive:
            parts.append("dropped")
        if self.source.quick:
            parts.append("quick")
        return file_name("_".join(parts))

    def to_json(self) -> dict[str, Any]:
        """Plain values, as they are read again."""
        return json.loads(json.dumps(asdict(self)))

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Experiment":
        """Inverse of `to_json`."""
        source = values["source"]
        source["attributes"] = tuple(source["attributes"])
        return cls(**values | {"source": DataSource(**source)})


@dataclass(frozen=True)
class Run:
    """One method on one split.

    Attributes
    ----------
    method : str
    repeat : int
        Number of the split, and the seed of the method.
    lam : float or None
        Weight of the task; None for the method's own.
    """

    method: str
    repeat: int
    lam: float | None = None

    @property
    def path(self) -> Path:
        """Where it is, in the folder of the experiment, without a suffix."""
        folder = "own" if self.lam is None else f"lam={self.lam!r}"
        return Path("runs", self.method, folder, f"repeat-{self.repeat:03d}")


class Store:
    """The runs of an experiment.

    Parameters
    ----------
    folder : path-like
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)

    def open(self, experiment: Experiment) -> None:
        """Make the folder, or check that it is this experiment's.

        Raises
        ------
        ValueError
            If it holds another experiment.
        """
        expected = experiment.to_json()
        if not (self.folder / DESCRIPTION).is_file():
            self.folder.mkdir(parents=True, exist_ok=True)
            self._write(Path(DESCRIPTION), json.dumps(expected, indent=1).encode())
        found = self.experiment().to_json()
        if found != expected:
            differing = {
                name: (found.get(name), value)
                for name, value in expected.items()
                if found.get(name) != value
            }
            raise ValueError(
                f"{self.folder} holds runs of another experiment: found and expected "
                f"{differing}. Name another folder with `output`."
            )

    def experiment(self) -> Experiment:
        """Read what the runs have in common.

        Raises
        ------
        ValueError
            If the file that says so is damaged.
        """
        path = self.folder / DESCRIPTION
        try:
            return Experiment.from_json(json.loads(path.read_text(encoding="utf-8")))
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"{path}: expected what `run` wrote, found another file or a damaged "
                "one. Name another folder with `output`."
            ) from error

    def ask(self, runs: Iterable[Run]) -> None:
        """Note that these runs were asked for, besides those before."""
        asked = sorted({*self._asked(), *runs}, key=lambda run: str(run.path))
        rows = [[run.method, run.repeat, run.lam] for run in asked]
        self._write(Path(ASKED), json.dumps(rows).encode())

    def pending(self) -> list[Run]:
        """Runs that were asked for and have not ended, well or not."""
        return [
            run
            for run in self._asked()
            if not (self.folder / run.path).with_suffix(".parquet").is_file()
            and not self.has_failed(run)
        ]

    def has_succeeded(self, run: Run) -> bool:
        """Whether the predictions of a run are there, and can be read."""
        path = (self.folder / run.path).with_suffix(".parquet")
        return path.is_file() and _read(path) is not None

    def has_failed(self, run: Run) -> bool:
        """Whether a run ended with an error."""
        return (self.folder / run.path).with_suffix(".error.json").is_file()

    def save(self, run: Run, table: pd.DataFrame, details: Mapping[str, Any]) -> None:
        """Write the predictions of a run, and what is known of it."""
        arrow = pyarrow.Table.from_pandas(table, preserve_index=False)
        text = json.dumps({**asdict(run), **details}, sort_keys=True)
        arrow = arrow.replace_schema_metadata(
            {**(arrow.schema.metadata or {}), METADATA: text.encode()}
        )
        buffer = pyarrow.BufferOutputStream()
        pyarrow.parquet.write_table(
            arrow, buffer, compression="zstd", write_page_checksum=True
        )
        self._write(run.path.with_suffix(".parquet"), buffer.getvalue().to_pybytes())
        (self.folder / run.path).with_suffix(".error.json").unlink(missing_ok=True)

    def save_error(self, run: Run, details: Mapping[str, Any]) -> None:
        """Write that a run failed, and why."""
        text = json.dumps({**asdict(run), **details}, sort_keys=True, indent=1)
        self._write(run.path.with_suffix(".error.json"), text.encode())

    def runs(self) -> Iterator[tuple[Run, dict[str, Any], pd.DataFrame]]:
        """Read the runs that succeeded: details and predictions, in order."""
        for path in self._files(".parquet"):
            found = _read(path)
            if found is not None:
                details, arrow = found
                yield _run_of(details), details, arrow.to_pandas()

    def unread(self, read: Iterable[Run], failed: Iterable[Run] = ()) -> list[Path]:
        """Files that are none of the runs that were read, with and without success."""
        known = {(self.folder / run.path).with_suffix(".parquet") for run in read}
        known |= {(self.folder / run.path).with_suffix(".error.json") for run in failed}
        files = self._files(".parquet") + self._files(".error.json")
        return [path for path in files if path not in known]

    def settings(self, run: Run) -> dict[str, str]:
        """Read what the method of a run that succeeded was.

        Raises
        ------
        ValueError
            If it has not.
        """
        path = (self.folder / run.path).with_suffix(".parquet")
        found = _read(path)
        if found is None:
            raise ValueError(f"{path}: expected a run, found no file or a damaged one.")
        return found[0]["settings"]

    def errors(self) -> list[tuple[Run, dict[str, Any]]]:
        """Read the runs that failed, but for files that are damaged."""
        read = ((path, _read_error(path)) for path in self._files(".error.json"))
        return [(_run_of(details), details) for _, details in read if details]

    def _files(self, suffix: str) -> list[Path]:
        return sorted(self.folder.glob(f"runs/*/*/*{suffix}"))

    def _asked(self) -> list[Run]:
        try:
            rows = json.loads((self.folder / ASKED).read_text(encoding="utf-8"))
            return [Run(*row) for row in rows]
        except (OSError, TypeError, ValueError):  # it serves a note, and no more
            return []

    def _write(self, name: Path, content: bytes) -> None:
        """Write a file whole, or not at all, whenever the process ends."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{path.name}.{os.getpid()}.part")
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)


def file_name(text: str) -> str:
    """Make a name do for a file; columns may be called anything."""
    return re.sub(r"[^\w+.-]+", "-", text)


def _read(path: Path) -> tuple[dict[str, Any], pyarrow.Table] | None:
    """Read a run: what is known of it, and its predictions; None if that is damaged."""
    try:
        arrow = pyarrow.parquet.read_table(path, page_checksum_verification=True)
        return json.loads((arrow.schema.metadata or {})[METADATA]), arrow
    except (KeyError, OSError, ValueError):  # pyarrow raises either of the last two
        return None


def _read_error(path: Path) -> dict[str, Any] | None:
    """Read why a run failed; None if the file is damaged."""
    try:
        details = json.loads(path.read_text(encoding="utf-8"))
        return details if {"method", "repeat", "lam", "error"} <= set(details) else None
    except (TypeError, ValueError):
        return None


def _run_of(details: Mapping[str, Any]) -> Run:
    return Run(details["method"], details["repeat"], details["lam"])
