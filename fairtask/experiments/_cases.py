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

__all__ = ["DATASETS", "Case", "DataSource", "check_size"]

# Names of attributes in the paper, and in the data sets.
ALIASES = {"adult": {"gender": "sex"}, "compas": {"gender": "sex"}}

# The list of pandas without "None", which may be the name of a group.
MISSING = [
    *("", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND"),
    *("1.#QNAN", "<NA>", "N/A", "NA", "NULL", "NaN", "n/a", "nan", "null"),
]

MAX_GROUPS = 50
MAX_CATEGORIES = 50  # a column may have more if it has ten samples for each
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
            X, y, groups, classes = self._read_csv(Path(self.dataset))
        names = {
            attribute: [
                None if pd.isna(name) else str(name) for name in groups[attribute]
            ]
            for attribute in self.attributes
        }
        if isinstance(X, pd.DataFrame):
            if self.drop_sensitive:
                X = X.drop(columns=list(self.attributes), errors="ignore")
            X = X.astype(dict.fromkeys(_not_numeric(X), "category"))
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

    def _read_csv(
        self, path: Path
    ) -> tuple[pd.DataFrame, np.ndarray, pd.DataFrame, list[str]]:
        table = _read(path)
        if table.empty:
            raise ValueError(f"{path}: expected a row for each sample, found none.")
        named = [str(self.target), *self.attributes]
        lacking = [name for name in named if name not in table]
        if lacking:
            raise ValueError(
                f"{path}: expected the columns {', '.join(named)}; found no "
                f"{', '.join(lacking)} among {', '.join(map(str, table))}."
            )
        # Labels and groups as they are written: pandas would read 01 as 1, and 1 as 1.0
        # where some are missing.
        written = _read(
            path, usecols=named, dtype=str, keep_default_na=False, na_values=MISSING
        )
        y, classes = self._labels(path, written[self.target])
        for name in self.attributes:
            n_groups = written[name].nunique()
            if not 2 <= n_groups <= MAX_GROUPS:
                raise ValueError(
                    f"{path}: expected 2 to {MAX_GROUPS} groups in `{name}`, found "
                    f"{n_groups}. Cut numbers such as an age into bands first."
                )
        X = table.drop(columns=str(self.target))
        _check_features(path, X)
        return X, y, written[list(self.attributes)], classes

    def _labels(self, path: Path, labels: pd.Series) -> tuple[np.ndarray, list[str]]:
        """Return labels of 0 and 1, and the names of the two classes."""
        if labels.isna().any():
            raise ValueError(
                f"{path}: expected a label in each row, found {labels.isna().sum():,} "
                f"rows without one in `{self.target}`."
            )
        classes = sorted(labels.unique(), key=_numbers_first)
        if len(classes) != 2:
            some = ", ".join(classes[:5]) + ", ..." * (len(classes) > 5)
            raise ValueError(
                f"{path}: expected two labels in `{self.target}`, found "
                f"{len(classes)}: {some}."
            )
        if self.positive is not None and self.positive not in classes:
            raise ValueError(
                f"`positive` must be one of the labels in `{self.target}`, "
                f"{' or '.join(classes)}; got {self.positive!r}."
            )
        if self.positive == classes[0]:
            classes = classes[::-1]
        return (labels == classes[1]).to_numpy(), classes


def _numbers_first(label: str) -> tuple[float, str]:
    """Key that sorts numbers by value, and text after them by the alphabet."""
    try:
        return float(label), label
    except ValueError:
        return np.inf, label


def _check_features(path: Path, X: pd.DataFrame) -> None:
    """Raise a ValueError for columns that no method can learn from."""
    empty = X.columns[X.isna().all()]
    if len(empty):
        raise ValueError(
            f"{path}: expected values in each column, found none in "
            f"{', '.join(empty)}. Delete empty columns."
        )
    numbers = X.select_dtypes("number")
    infinite = numbers.columns[np.isinf(numbers.to_numpy(dtype=float)).any(axis=0)]
    if len(infinite):
        raise ValueError(
            f"{path}: expected finite numbers, found infinity in {', '.join(infinite)}."
        )
    most = max(MAX_CATEGORIES, len(X) // 10)
    n_values = X[_not_numeric(X)].nunique()
    many = [f"{name} ({n:,})" for name, n in n_values.items() if n > most]
    if many:
        raise ValueError(
            f"{path}: expected numbers, or at most {most:,} categories, in each "
            f"column; found more in {', '.join(many)}. Delete names of samples; "
            "write dates as numbers, and numbers with a point."
        )


def _not_numeric(X: pd.DataFrame) -> list[str]:
    """Columns of categories. A bool is a number to pandas, and 0 or 1 to a network."""
    return [str(name) for name in X if not pd.api.types.is_numeric_dtype(X[name])]


def check_size(source: DataSource) -> None:
    """Raise a ValueError if a class has too few samples for three parts."""
    case = replace(source, quick=False).load()
    sizes = np.bincount(case.y, minlength=2)
    if sizes.min() < MIN_PER_CLASS:
        found = (f"{n} of {name}" for name, n in zip(case.classes, sizes, strict=True))
        raise ValueError(
            f"{source.dataset}: expected at least {MIN_PER_CLASS} samples of each "
            f"label, a fifth of them for the test; found {' and '.join(found)}."
        )


def _read(path: Path, **options: Any) -> pd.DataFrame:
    try:
        return pd.read_csv(path, **options)
    except ValueError as error:  # pandas does not say which file
        raise ValueError(f"{path}: expected a CSV file: {error}") from error


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
