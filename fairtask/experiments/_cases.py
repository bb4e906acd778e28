"""The data of an experiment: the paper's data sets, or a table of the user's."""

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

# What the paper calls an attribute, and what the data set calls it.
ALIASES = {"adult": {"gender": "sex"}, "compas": {"gender": "sex"}}

# As pandas has it, but for "None", which a group may be called.
MISSING = [
    *("", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND"),
    *("1.#QNAN", "<NA>", "N/A", "NA", "NULL", "NaN", "n/a", "nan", "null"),
]

MAX_GROUPS = 50
MAX_CATEGORIES = 50
"""Categories that a column may have in any case; or one for ten samples."""

MIN_PER_CLASS = 50
"""Fewest samples of a class: ten of them in the test part."""

QUICK_SAMPLES = 1500


@dataclass(frozen=True)
class Case:
    """Samples, labels and groups.

    Attributes
    ----------
    X : DataFrame of shape (n_samples, n_features), or Series of paths of images
    y : ndarray of shape (n_samples,), of 0 and 1
    groups : DataFrame of shape (n_samples, n_attributes)
        Names of groups, None where unknown.
    classes : list of str
        Names of the classes 0 and 1.
    """

    X: Any
    y: np.ndarray
    groups: pd.DataFrame
    classes: list[str]

    @property
    def kind(self) -> str:
        """What the samples are: "table" or "image"."""
        return "image" if isinstance(self.X, pd.Series) else "table"


@dataclass(frozen=True)
class DataSource:
    """Which data, and which of their columns.

    Attributes
    ----------
    dataset : str
        One of `DATASETS`, or the path of a CSV file.
    attributes : tuple of str
        Sensitive attributes, in the order of the tables.
    target : str or None
        Column of the labels; of a CSV file only.
    positive : str or None
        Label of the positive class, as it is written; of a CSV file only. None: the
        greater of the two.
    drop_sensitive : bool
        Whether the sensitive columns are left out of the features.
    quick : bool
        Whether a part of the samples will do.
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
        """Check what was asked for, and give attributes the names of the data.

        Raises
        ------
        ValueError
            If there is no such data set, or the arguments do not suit it.
        """
        if dataset not in DATASETS:
            if not Path(dataset).suffix:
                raise ValueError(
                    f"`dataset` must be one of {', '.join(DATASETS)}, or the path of a "
                    f"CSV file; got {dataset!r}."
                )
            if options.get("target") is None or not attributes:
                raise ValueError(
                    "`target` and `sensitive` must name the columns of the labels and "
                    f"of the sensitive attributes of {dataset}."
                )
            named = [*attributes, options["target"]]
            if len(set(named)) < len(named):
                raise ValueError(
                    "`target` and `sensitive` must name each column once; got "
                    f"{', '.join(named)}."
                )
            return cls(str(Path(dataset).resolve()), tuple(attributes), **options)
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
        wrong = [name for name in chosen if name not in available]
        if wrong or len(set(chosen)) < len(chosen):
            raise ValueError(
                f"`attributes` of {dataset} must be among {', '.join(available)}, each "
                f"once; got {', '.join(chosen)}."
            )
        return cls(dataset, tuple(chosen), **options)

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
        """What the samples are: "table" or "image"."""
        return "image" if self.dataset in IMAGES else "table"

    def load(self) -> Case:
        """Read the data.

        Raises
        ------
        OSError
            If they are not there.
        ValueError
            If they are not as expected.
        """
        if self.dataset in DATASETS:
            data = DATASETS[self.dataset][0]()
            X, y, groups = data.data, data.target, data.sensitive_features
            classes = [str(name) for name in data.target_names]
        else:
            X, y, groups, classes = self._read_csv(Path(self.dataset))
        groups = pd.DataFrame(
            {name: _names(groups[name]) for name in self.attributes}, dtype=object
        )
        if self.drop_sensitive and isinstance(X, pd.DataFrame):
            X = X.drop(columns=[name for name in self.attributes if name in X])
        if isinstance(X, pd.DataFrame):
            X = _as_categories(X)
        kept = np.arange(len(X))
        if self.quick and len(kept) > QUICK_SAMPLES:
            kept, _ = train_test_split(
                kept, train_size=QUICK_SAMPLES, stratify=y, random_state=0
            )
        return Case(
            X.iloc[kept].reset_index(drop=True),
            np.asarray(y)[kept].astype(np.int64),
            groups.iloc[kept].reset_index(drop=True),
            classes,
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
        """Return labels of 0 and 1, and what they were called."""
        if labels.isna().any():
            raise ValueError(
                f"{path}: expected a label in each row, found {labels.isna().sum():,} "
                f"rows without one in `{self.target}`."
            )
        classes = sorted(labels.unique(), key=_as_sorted)
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


def _as_sorted(label: str) -> tuple[float, str]:
    """Numbers in the order of numbers, before others in that of the alphabet."""
    try:
        return float(label), label
    except ValueError:
        return np.inf, label


def _check_features(path: Path, X: pd.DataFrame) -> None:
    """Raise a ValueError for columns that no method can learn from."""
    empty = [str(name) for name in X if X[name].isna().all()]
    if empty:
        raise ValueError(
            f"{path}: expected values in each column, found none in "
            f"{', '.join(empty)}. Delete what is empty."
        )
    numbers = X.select_dtypes("number")
    infinite = [str(name) for name in numbers if np.isinf(numbers[name]).any()]
    if infinite:
        raise ValueError(
            f"{path}: expected finite numbers, found infinity in {', '.join(infinite)}."
        )
    names = [name for name in X if not pd.api.types.is_numeric_dtype(X[name])]
    n_values = {name: X[name].nunique() for name in names}
    most = max(MAX_CATEGORIES, len(X) // 10)
    many = [f"{name} ({n:,})" for name, n in n_values.items() if n > most]
    if many:
        raise ValueError(
            f"{path}: expected numbers, or at most {most:,} categories, in each "
            f"column; found more in {', '.join(many)}. Delete what names a sample; "
            "write dates as numbers, and numbers with a point."
        )


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


def _names(column: pd.Series) -> list[str | None]:
    """Groups as text, None where unknown."""
    return [
        None if missing else str(value)
        for value, missing in zip(column, column.isna(), strict=True)
    ]


def _as_categories(X: pd.DataFrame) -> pd.DataFrame:
    """Turn what holds no numbers into categories."""
    is_number = pd.api.types.is_numeric_dtype
    others = [name for name in X if not is_number(X[name])]
    # A bool is a number to pandas, and 0 or 1 to a network, as it should be.
    return X.astype(dict.fromkeys(others, "category"))


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


DATASETS = {
    "adult": (fetch_adult, ("race", "sex")),
    "bank": (_bank, ("age",)),
    "compas": (fetch_compas, ("race", "sex")),
    "fairface": (fetch_fairface, ("race", "gender")),
    "synthetic": (_synthetic, ("group",)),
}
"""Loader and sensitive attributes of each data set that has a name."""

IMAGES = ("fairface",)
"""Those whose samples are images."""
