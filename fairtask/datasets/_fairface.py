"""FairFace.

Photographs of faces, about balanced over seven races. Annotators labelled each with one
of nine bands of age, two genders and seven races.

Target: 30 years and older. Sensitive features: `gender` (2 groups), `race` (7 groups).

Source: https://github.com/joojs/fairface (CC BY 4.0).
K. Kärkkäinen and J. Joo, "FairFace: face attribute dataset for balanced race, gender,
and age for bias measurement and mitigation", WACV 2021.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from sklearn.utils._param_validation import StrOptions, validate_params

from fairtask.datasets._fetch import find_data_home
from fairtask.datasets._table import (
    FETCHER_CONSTRAINTS,
    make_bunch,
    read_text,
    refuse,
)

__all__ = ["fetch_fairface"]

VALUES = {
    "age": (
        "0-2", "3-9", "10-19", "20-29", "30-39", "40-49", "50-59", "60-69",
        "more than 70",
    ),
    "gender": ("Female", "Male"),
    "race": (
        "Black", "East Asian", "Indian", "Latino_Hispanic", "Middle Eastern",
        "Southeast Asian", "White",
    ),
}  # fmt: skip

# The labels are in one file, or in a file for each subset as FairFace publishes them.
LABELS = "labels.csv"
LABELS_BY_SUBSET = {
    "train": "fairface_label_train.csv",
    "test": "fairface_label_val.csv",
}


@validate_params(
    FETCHER_CONSTRAINTS | {"subset": [StrOptions({"train", "test", "all"})]},
    prefer_skip_nested_validation=True,
)
def fetch_fairface(
    *,
    data_home: str | os.PathLike[str] | None = None,
    subset: str = "all",
    return_X_y: bool = False,
) -> Any:
    """Load the paths and labels of FairFace, from a folder.

    The task is to predict whether a person is 30 years or older. FairFace [1]_ has
    97,698 images; the folder may hold any part of them.

    Parameters
    ----------
    data_home : str or path-like, default=None
        Folder that holds ``fairface``; see :func:`fetch_adult` for the default.
    subset : {"all", "train", "test"}, default="all"
        Which images to load. FairFace calls the test images validation images.
    return_X_y : bool, default=False
        Whether to return ``(data, target)`` instead of a Bunch.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch` or (Series, Series)
        The Bunch has the entries described in :func:`fetch_adult` except
        `feature_names`, among them

        data : Series of shape (n_samples,)
            Path of each image, as text.
        target : Series of shape (n_samples,)
            `age_30_or_older`: 1 or 0.
        sensitive_features : DataFrame of shape (n_samples, 2)
            `gender` and `race`, of dtype ``category``.
        age : Series of shape (n_samples,)
            Band of age, an ordered ``category``.
        subset : Series of shape (n_samples,)
            "train" or "test".

    Raises
    ------
    OSError
        If the labels or an image are not there.
    ValueError
        If the labels are not those of FairFace.

    Notes
    -----
    FairFace is downloaded by hand, from the links on
    https://github.com/joojs/fairface (CC BY 4.0): the images "Padding=0.25" and the
    labels of both parts. The folder ``fairface`` then holds ``train``, ``val``,
    ``fairface_label_train.csv`` and ``fairface_label_val.csv``. If there is a file
    ``labels.csv``, it is read instead of these two. Its columns are ``file`` (relative
    to the folder), ``split`` ("train" or "test"), ``age``, ``gender`` and ``race``.

    Annotators judged race, gender and age from a photograph. The people in it were not
    asked.

    References
    ----------
    .. [1] K. Kärkkäinen and J. Joo. "FairFace: face attribute dataset for balanced
       race, gender, and age for bias measurement and mitigation". WACV 2021.

    Examples
    --------
    >>> from fairtask.datasets import fetch_fairface
    >>> faces = fetch_fairface(subset="train")  # doctest: +SKIP
    >>> faces.sensitive_feature_names  # doctest: +SKIP
    ['gender', 'race']
    """
    folder = find_data_home(data_home) / "fairface"
    table, paths = _read_labels(folder)
    if subset != "all":
        table = table[table["split"] == subset].reset_index(drop=True)
    files = table["file"].map(lambda file: str(folder / file))
    missing = [path for path in files if not Path(path).is_file()]
    if missing:
        raise OSError(
            f"{len(missing):,} of {len(files):,} images of FairFace are not there, the "
            f"first is {missing[0]}."
        )
    return make_bunch(
        files,
        (table["age"] >= "30-39").astype(int).rename("age_30_or_older"),
        table[["gender", "race"]],
        target_names=["up to 29", "30 and older"],
        paths=paths,
        description=__doc__,
        return_X_y=return_X_y,
        age=table["age"],
        subset=table["split"].rename("subset"),
    )


def _read_labels(folder: Path) -> tuple[pd.DataFrame, list[Path]]:
    """Return file, age, gender, race and split of each image, and the files read."""
    if (folder / LABELS).is_file():
        paths = [folder / LABELS]
        parts = [_read_checked(paths[0], {**VALUES, "split": tuple(LABELS_BY_SUBSET)})]
    else:
        paths = [folder / name for name in LABELS_BY_SUBSET.values()]
        missing = [str(path) for path in paths if not path.is_file()]
        if missing:
            raise OSError(
                f"FairFace is not there: expected {folder / LABELS}, or {missing}. It "
                "is downloaded by hand from https://github.com/joojs/fairface, see the "
                "notes of fetch_fairface; FAIRTASK_DATA or `data_home` names the "
                "folder that holds `fairface`."
            )
        parts = [
            _read_checked(path, VALUES).assign(split=subset)
            for subset, path in zip(LABELS_BY_SUBSET, paths, strict=True)
        ]
    table = pd.concat(parts, ignore_index=True)
    for name, values in VALUES.items():
        dtype = pd.CategoricalDtype(list(values), ordered=name == "age")
        table[name] = table[name].astype(dtype)
    return table, paths


def _read_checked(path: Path, allowed: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    table = read_text(path, ["file", *allowed])
    if table.empty:
        raise ValueError(f"{path}: expected rows, found 0.")
    for name, values in allowed.items():
        wrong = ~table[name].isin(values)
        refuse(path, table[name], wrong, f"one of {', '.join(values)}")
    return table
