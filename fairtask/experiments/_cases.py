"""The data of an experiment: a data set that has a name, or a user's table."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.model_selection import train_test_split
from sklearn.utils import Bunch

from fairtask.datasets import (
    fetch_adult,
    fetch_bank_marketing,
    fetch_compas,
    fetch_fairface,
    make_biased_classification,
)
from fairtask.experiments._csv_file import not_numeric, notes_on, read_csv

__all__ = ["DATASETS", "Case", "DataSource", "check_data"]

# Names of attributes in the paper, and in the data sets.
ALIASES = {"adult": {"gender": "sex"}, "compas": {"gender": "sex"}}

MIN_PER_CLASS = 50  # ten of them are in the test part
QUICK_SAMPLES = 1500


@dataclass(frozen=True)
class Case:
    """Samples, labels and groups.

    `X` is a data frame of features, or a series of paths of images, and `y` an array of
    0 and 1. `groups` has a column per attribute, with the names of the groups and None
    where they are unknown. `classes` are the names of the classes 0 and 1. `is_test`
    marks the test samples of data that come with a test part.
    """

    X: Any
    y: np.ndarray
    groups: pd.DataFrame
    classes: list[str]
    is_test: np.ndarray | None = None

    def take(self, rows: np.ndarray) -> "Case":
        """Return some of the samples."""
        is_test = None if self.is_test is None else self.is_test[rows]
        return Case(
            self.X.iloc[rows],
            self.y[rows],
            self.groups.iloc[rows],
            self.classes,
            is_test,
        )


@dataclass(frozen=True)
class DataSource:
    """Which data, and which of their columns.

    `dataset` is one of `DATASETS` or the path of a CSV file. Only a CSV file has a
    `target`, the column of the labels, and a `positive` label, by default the greater
    of the two. `drop_sensitive` leaves the sensitive columns out of the features, and
    `quick` takes a part of the samples.
    """

    dataset: str
    attributes: tuple[str, ...]
    target: str | None = None
    positive: str | None = None
    drop_sensitive: bool = False
    quick: bool = False

    @classmethod
    def of(
        cls, dataset: str, attributes: Sequence[str] | None = None, **options: Any
    ) -> "DataSource":
        """Check the arguments, and give the attributes the names that the data use."""
        if dataset not in DATASETS:
            return cls._of_csv(dataset, attributes or (), options)
        for name in ("target", "positive"):
            if options.get(name) is not None:
                raise ValueError(
                    f"`{name}` is for CSV files; {dataset} has a target of its own."
                )
        if options.get("drop_sensitive") and dataset in IMAGES:
            raise ValueError(
                f"`drop_sensitive` is for tables; {dataset} has images, whose features "
                "are their pixels."
            )
        if attributes is not None and not attributes:
            raise ValueError("`attributes` must name one at least; got none.")
        available = DATASETS[dataset][1]
        aliases = ALIASES.get(dataset, {})
        chosen = [aliases.get(name, name) for name in attributes or available]
        if not set(chosen) <= set(available) or len(set(chosen)) < len(chosen):
            raise ValueError(
                f"`attributes` of {dataset} must be among {', '.join(available)}, each "
                f"once; got {', '.join(chosen)}."
            )
        return cls(dataset, tuple(chosen), **options)

    @classmethod
    def _of_csv(
        cls, path: str, attributes: Sequence[str], options: dict[str, Any]
    ) -> "DataSource":
        if not Path(path).suffix:
            raise ValueError(
                f"`dataset` must be one of {', '.join(DATASETS)}, or the path of a "
                f"CSV file; got {path!r}."
            )
        if options.get("target") is None or not attributes:
            raise ValueError(
                "`target` and `sensitive` must name the columns of the labels and "
                f"of the sensitive attributes of {path}."
            )
        named = [*attributes, options["target"]]
        if len(set(named)) < len(named):
            raise ValueError(
                "`target` and `sensitive` must name each column once; got "
                f"{', '.join(named)}."
            )
        return cls(str(Path(path).resolve()), tuple(attributes), **options)

    @property
    def name(self) -> str:
        """Short name of the data, for tables and folders."""
        return self.dataset if self.dataset in DATASETS else Path(self.dataset).name

    @property
    def digest(self) -> str:
        """SHA-256 of a CSV file; "" for data whose loader knows its files."""
        if self.dataset in DATASETS:
            return ""
        return hashlib.sha256(Path(self.dataset).read_bytes()).hexdigest()

    @property
    def kind(self) -> str:
        """Kind of the samples: "table" or "image"."""
        return "image" if self.dataset in IMAGES else "table"

    def load(self) -> Case:
        """Read the data; raise an OSError or a ValueError where that fails."""
        is_test = None
        if self.dataset in DATASETS:
            data = DATASETS[self.dataset][0]()
            X, y, groups = data.data, data.target, data.sensitive_features
            classes = [str(name) for name in data.target_names]
            if self.dataset in WITH_TEST_PART:
                is_test = (data.subset == "test").to_numpy()
        else:
            X, y, groups, classes = read_csv(
                Path(self.dataset),
                target=str(self.target),
                attributes=self.attributes,
                positive=self.positive,
            )
        names = {
            attribute: [
                None if pd.isna(name) else str(name) for name in groups[attribute]
            ]
            for attribute in self.attributes
        }
        if isinstance(X, pd.DataFrame):
            if self.drop_sensitive:
                X = X.drop(columns=list(self.attributes), errors="ignore")
            X = X.astype(dict.fromkeys(not_numeric(X), "category"))
        y = np.asarray(y).astype(np.int64)
        case = Case(X, y, pd.DataFrame(names, dtype=object), classes, is_test)
        if self.quick and len(y) > QUICK_SAMPLES:
            rows, _ = train_test_split(
                np.arange(len(y)), train_size=QUICK_SAMPLES, stratify=y, random_state=0
            )
            case = case.take(rows)
        return replace(
            case,
            X=case.X.reset_index(drop=True),
            groups=case.groups.reset_index(drop=True),
        )


def check_data(source: DataSource) -> list[str]:
    """Return notes on columns that may identify the samples of a CSV file.

    A ValueError is raised if the data cannot be read, or if a class has too few samples
    for three parts.
    """
    case = replace(source, quick=False).load()
    sizes = np.bincount(case.y, minlength=2)
    if sizes.min() < MIN_PER_CLASS:
        found = (f"{n} of {name}" for name, n in zip(case.classes, sizes, strict=True))
        raise ValueError(
            f"{source.dataset}: expected at least {MIN_PER_CLASS} samples of each "
            f"label, a fifth of them for the test; found {' and '.join(found)}."
        )
    return [] if source.dataset in DATASETS else notes_on(case.X)


def _bank() -> Any:
    # `duration` is known only after the call; published figures use it.
    return fetch_bank_marketing(include_duration=True)


def _synthetic() -> Any:
    X, y, z = make_biased_classification(2000, random_state=0)
    return Bunch(
        data=pd.DataFrame(X).add_prefix("x"),
        target=y,
        sensitive_features=pd.DataFrame({"group": np.where(z == 0, "a", "b")}),
        target_names=["negative", "positive"],
    )


# Loader and sensitive attributes of each data set that has a name.
DATASETS = {
    "adult": (fetch_adult, ("race", "sex")),
    "bank": (_bank, ("age",)),
    "compas": (fetch_compas, ("race", "sex")),
    "fairface": (fetch_fairface, ("race", "gender")),
    "fairface-split": (fetch_fairface, ("race", "gender")),
    "synthetic": (_synthetic, ("group",)),
}
IMAGES = ("fairface", "fairface-split")
WITH_TEST_PART = ("fairface-split",)
