"""Runs on disk: a file each, written whole or not at all."""

import json
import os
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, astuple, dataclass
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
SUCCESS = ".parquet"
FAILURE = ".error.json"

PART = ".part"
PART_SECONDS = 60
"""Age from which nobody is writing a part of a file: its process has been killed."""


@dataclass(frozen=True)
class Experiment:
    """The settings that all runs of a folder share.

    `parameters` are parameters of the networks that replace those of the recipe;
    `digest` is the SHA-256 of the user's CSV file, or "".
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
        """Return plain values, as `from_json` takes them."""
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

    `repeat` is the number of the split, and the seed of the method. `lam` is the weight
    of the task, None for the method's own.
    """

    method: str
    repeat: int
    lam: float | None = None

    @property
    def path(self) -> Path:
        """Path in the folder of the experiment, without a suffix."""
        folder = "own" if self.lam is None else f"lam={self.lam!r}"
        return Path("runs", self.method, folder, f"repeat-{self.repeat:03d}")


class Store:
    """The folder of an experiment, with a file for each run."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)

    def open(self, experiment: Experiment) -> None:
        """Make the folder, or raise a ValueError if it holds another experiment.

        Parts of files that killed processes have left there are deleted.
        """
        expected = experiment.to_json()
        for part in self.folder.rglob(f"*{PART}"):
            if time.time() - part.stat().st_mtime > PART_SECONDS:
                part.unlink(missing_ok=True)
        if not (self.folder / DESCRIPTION).is_file():
            self._write(self.folder / DESCRIPTION, json.dumps(expected, indent=1))
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
        """Read the settings of all runs; raise a ValueError if they are damaged."""
        path = self.folder / DESCRIPTION
        try:
            return Experiment.from_json(json.loads(path.read_text(encoding="utf-8")))
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"{path}: expected the settings of an experiment, found another file "
                "or a damaged one. Name another folder with `output`."
            ) from error

    def ask(self, runs: Iterable[Run]) -> None:
        """Note that these runs were asked for, besides those before."""
        asked = sorted({*self._asked(), *runs}, key=lambda run: str(run.path))
        self._write(self.folder / ASKED, json.dumps([astuple(run) for run in asked]))

    def pending(self) -> list[Run]:
        """Return the runs that were asked for and have neither succeeded nor failed."""
        return [
            run
            for run in self._asked()
            if self.details(run) is None and not self.has_failed(run)
        ]

    def has_failed(self, run: Run) -> bool:
        """Whether a run ended with an error of its method."""
        return self._read_error(self._path(run, FAILURE)) is not None

    def details(self, run: Run) -> dict[str, Any] | None:
        """Read the details of a run; None unless it succeeded and its file is whole."""
        found = self._read(self._path(run, SUCCESS))
        return found and found[0]

    def save(self, run: Run, table: pd.DataFrame, details: Mapping[str, Any]) -> None:
        """Write the predictions and the details of a run."""
        arrow = pyarrow.Table.from_pandas(table, preserve_index=False)
        text = json.dumps({**asdict(run), **details}, sort_keys=True)
        arrow = arrow.replace_schema_metadata(
            {**(arrow.schema.metadata or {}), METADATA: text.encode()}
        )
        buffer = pyarrow.BufferOutputStream()
        pyarrow.parquet.write_table(
            arrow, buffer, compression="zstd", write_page_checksum=True
        )
        self._write(self._path(run, SUCCESS), buffer.getvalue().to_pybytes())
        self._path(run, FAILURE).unlink(missing_ok=True)

    def save_error(self, run: Run, details: Mapping[str, Any]) -> None:
        """Write the details of a run that failed, "error" among them."""
        text = json.dumps({**asdict(run), **details}, sort_keys=True, indent=1)
        self._write(self._path(run, FAILURE), text)

    def runs(self) -> Iterator[tuple[Run, dict[str, Any], pd.DataFrame]]:
        """Read the runs that succeeded, with their details and predictions."""
        for path in self._files(SUCCESS):
            found = self._read(path)
            if found is not None:
                details, arrow = found
                yield _run_of(details), details, arrow.to_pandas()

    def errors(self) -> list[tuple[Run, dict[str, Any]]]:
        """Read the runs that failed, with their details."""
        read = map(self._read_error, self._files(FAILURE))
        return [(_run_of(details), details) for details in read if details]

    def unread(self, read: Iterable[Run], failed: Iterable[Run] = ()) -> list[Path]:
        """List the files of runs that are neither among those read nor those failed."""
        known = {self._path(run, SUCCESS) for run in read}
        known |= {self._path(run, FAILURE) for run in failed}
        files = self._files(SUCCESS) + self._files(FAILURE)
        return [path for path in files if path not in known]

    def _read(self, path: Path) -> tuple[dict[str, Any], pyarrow.Table] | None:
        """Read details and predictions of a run; None unless the file is whole.

        A file in the place of another run is a damaged one.
        """
        try:
            arrow = pyarrow.parquet.read_table(
                path, page_checksum_verification=True, partitioning=None
            )
            details = json.loads((arrow.schema.metadata or {})[METADATA])
            is_in_place = self._path(_run_of(details), SUCCESS) == path
        except (KeyError, OSError, TypeError, ValueError):  # pyarrow raises several
            return None
        return (details, arrow) if is_in_place else None

    def _read_error(self, path: Path) -> dict[str, Any] | None:
        """Read the details of a run that failed; None unless the file is whole."""
        try:
            details = json.loads(path.read_text(encoding="utf-8"))
            is_in_place = self._path(_run_of(details), FAILURE) == path
            return details if is_in_place and "error" in details else None
        except (KeyError, OSError, TypeError, ValueError):
            return None

    def _path(self, run: Run, suffix: str) -> Path:
        return (self.folder / run.path).with_suffix(suffix)

    def _files(self, suffix: str) -> list[Path]:
        return sorted(self.folder.glob(f"runs/*/*/*{suffix}"))

    def _asked(self) -> list[Run]:
        try:
            rows = json.loads((self.folder / ASKED).read_text(encoding="utf-8"))
            return [Run(*row) for row in rows]
        except (OSError, TypeError, ValueError):  # only a note in the report needs it
            return []

    def _write(self, path: Path, content: bytes | str) -> None:
        """Write a file whole, or not at all, whenever the process ends."""
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{path.name}.{os.getpid()}{PART}")
        try:
            with part.open("wb") as file:
                file.write(content.encode() if isinstance(content, str) else content)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)


def file_name(text: str) -> str:
    """Replace the characters that a file name cannot have in each file system."""
    return re.sub(r"[^\w+.-]+", "-", text)


def _run_of(details: Mapping[str, Any]) -> Run:
    return Run(details["method"], details["repeat"], details["lam"])
