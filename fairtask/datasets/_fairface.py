"""FairFace: faces with age, gender and race."""

import os
from pathlib import Path
from typing import Any

import pandas as pd
from sklearn.utils import Bunch
from sklearn.utils._param_validation import StrOptions, validate_params

from fairtask.datasets._fetch import find_data_home

__all__ = ["fetch_fairface"]

AGES = (
    "0-2", "3-9", "10-19", "20-29", "30-39", "40-49", "50-59", "60-69", "more than 70",
)  # fmt: skip
GENDERS = ("Female", "Male")
RACES = (
    "Black", "East Asian", "Indian", "Latino_Hispanic", "Middle Eastern",
    "Southeast Asian", "White",
)  # fmt: skip
VALUES = {"age": AGES, "gender": GENDERS, "race": RACES}

FIRST_OLD = "30-39"

# One file for both parts, or a file per part as FairFace comes.
LABELS = "labels.csv"
LABELS_BY_SUBSET = {
    "train": "fairface_label_train.csv",
    "test": "fairface_label_val.csv",
}

_DESCRIPTION = """\
FairFace

Photographs of faces, about balanced over seven races, with labels that people gave
them: nine bands of age, two genders, seven races.

Target: 30 years and older. Sensitive features: `gender` (2 groups), `race` (7 groups).

Source: https://github.com/joojs/fairface (CC BY 4.0).
K. Kärkkäinen and J. Joo, "FairFace: face attribute dataset for balanced race, gender,
and age for bias measurement and mitigation", WACV 2021.
"""


@validate_params(
    {
        "data_home": [str, os.PathLike, None],
        "subset": [StrOptions({"train", "test", "all"})],
        "return_X_y": ["boolean"],
    },
    prefer_skip_nested_validation=True,
)
def fetch_fairface(
    *,
    data_home: str | os.PathLike[str] | None = None,
    subset: str = "all",
    return_X_y: bool = False,
) -> Any:
    """Load the paths and labels of FairFace, from a folder [1]_.

    The task is to predict whether a face is of 30 years or older. FairFace has 97,698
    images; any part of it will do.

    Parameters
    ----------
    data_home : str or path-like, default=None
        Folder that holds ``fairface``. By default the environment variable
        ``FAIRTASK_DATA`` or, where that is not set,
        :func:`sklearn.datasets.get_data_home`.
    subset : {"all", "train", "test"}, default="all"
        Which images. The test images are what FairFace calls validation.
    return_X_y : bool, default=False
        Whether to return ``(data, target)`` instead of a Bunch.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch` or (Series, Series)
        The Bunch has

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
        target_names, sensitive_feature_names : list of str
            Names of the classes 0 and 1, and of the columns of `sensitive_features`.
        filenames : list of str
            The files with the labels.
        DESCR : str
            Description of the data.

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
    ``fairface_label_train.csv`` and ``fairface_label_val.csv``. In their place a file
    ``labels.csv`` is read, if there is one, whose columns are ``file`` (relative to the
    folder), ``split`` ("train" or "test"), ``age``, ``gender`` and ``race``.

    Race, gender and age are what annotators saw in a photograph, not what people say of
    themselves.

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
    age = table["age"]
    target = (age >= FIRST_OLD).astype(int).rename("age_30_or_older")
    if return_X_y:
        return files, target
    return Bunch(
        data=files,
        target=target,
        sensitive_features=table[["gender", "race"]],
        age=age,
        subset=table["split"].rename("subset"),
        target_names=["up to 29", "30 and older"],
        sensitive_feature_names=["gender", "race"],
        filenames=[str(path) for path in paths],
        DESCR=_DESCRIPTION,
    )


def _read_labels(folder: Path) -> tuple[pd.DataFrame, list[Path]]:
    """Return file, split, age, gender and race of each image, and what was read."""
    if (folder / LABELS).is_file():
        paths = [folder / LABELS]
        table = _read_csv(paths[0], ["file", "split", *VALUES])
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
        table = pd.concat(
            [
                _read_csv(path, ["file", *VALUES]).assign(split=subset)
                for subset, path in zip(LABELS_BY_SUBSET, paths, strict=True)
            ],
            ignore_index=True,
        )
    for name, values in {"split": tuple(LABELS_BY_SUBSET), **VALUES}.items():
        wrong = ~table[name].isin(values)
        if wrong.any():
            raise ValueError(
                f"{paths[0].parent}: column `{name}`: expected one of {values}, found "
                f"{table.loc[wrong, name].iloc[0]!r} ({wrong.sum():,} such values)."
            )
    for name, values in VALUES.items():
        dtype = pd.CategoricalDtype(list(values), ordered=name == "age")
        table[name] = table[name].astype(dtype)
    return table, paths


def _read_csv(path: Path, columns: list[str]) -> pd.DataFrame:
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    lacking = [name for name in columns if name not in table]
    if lacking or not len(table):
        raise ValueError(
            f"{path}: expected rows with the columns {columns}, found "
            f"{len(table)} with {list(table)}."
        )
    return table[columns]
