"""Adult (census income).

48,842 people from the United States census of 1994: the 32,561 of `adult.data`,
followed by the 16,281 of `adult.test`. 45,222 of them have no missing value.

Target: income of more than 50,000 dollars a year (11,687 people, 11,208 of those
without a missing value). Features: 6 numbers and 8 categories. `fnlwgt` is the number
of people whom a row represents in the census. `education-num` is `education` as a
number. Sensitive features: `sex` (2 groups), `race` (5 groups, from 353 to 38,903 of
the rows without a missing value).

Source: UCI Machine Learning Repository, https://doi.org/10.24432/C5XW20, licence
CC BY 4.0. B. Becker and R. Kohavi (1996); R. Kohavi, "Scaling up the accuracy of
naive-Bayes classifiers: a decision-tree hybrid", KDD 1996.
"""

import os
from dataclasses import replace
from typing import Any

import pandas as pd
from sklearn.utils._param_validation import validate_params

from fairtask.datasets._fetch import fetch_file
from fairtask.datasets._table import (
    FETCHER_CONSTRAINTS,
    TableFormat,
    as_categories,
    make_bunch,
    read_table,
)

__all__ = ["fetch_adult"]

_TRAINING_FORMAT = TableFormat(
    columns=(
        "age", "workclass", "fnlwgt", "education", "education-num", "marital-status",
        "occupation", "relationship", "race", "sex", "capital-gain", "capital-loss",
        "hours-per-week", "native-country",
    ),
    numeric=(
        "age", "fnlwgt", "education-num", "capital-gain", "capital-loss",
        "hours-per-week",
    ),
    label="income",
    labels={"<=50K": 0, ">50K": 1},
    n_rows=32_561,
    n_positives=7_841,
    incomplete=("workclass", "occupation", "native-country"),
    missing="?",
    header=False,
)  # fmt: skip
_TEST_FORMAT = replace(
    _TRAINING_FORMAT,
    labels={"<=50K.": 0, ">50K.": 1},
    n_rows=16_281,
    n_positives=3_846,
)


@validate_params(
    FETCHER_CONSTRAINTS | {"dropna": ["boolean"]}, prefer_skip_nested_validation=True
)
def fetch_adult(
    *,
    data_home: str | os.PathLike[str] | None = None,
    dropna: bool = True,
    return_X_y: bool = False,
) -> Any:
    """Load the Adult (census income) data, downloading it if necessary.

    The task is to predict an income of more than 50,000 dollars a year. The rows are
    those of ``adult.data`` followed by those of ``adult.test``.

    ==================  ==========================================
    Samples             45,222 (48,842 with ``dropna=False``)
    Positives           11,208 (11,687)
    Features            14: 6 integers, 8 categories
    Sensitive features  `sex` (2 groups), `race` (5 groups)
    ==================  ==========================================

    Parameters
    ----------
    data_home : str or path-like, default=None
        Folder that holds ``adult/adult.data`` and ``adult/adult.test``. A missing file
        is downloaded to it. The default is the environment variable ``FAIRTASK_DATA``
        or, where that is not set, :func:`sklearn.datasets.get_data_home`.
    dropna : bool, default=True
        Whether to leave out the rows with a missing value (in `workclass`,
        `occupation` or `native-country`). The categories of a column do not depend
        on it.
    return_X_y : bool, default=False
        Whether to return ``(data, target)`` instead of a Bunch. The sensitive
        features are columns of `data`.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch` or (DataFrame, Series)
        The Bunch has

        data : DataFrame of shape (n_samples, 14)
            Numbers are int64, everything else is of dtype ``category``.
        target : Series of shape (n_samples,)
            `income`: 1 for more than 50,000 dollars, else 0.
        sensitive_features : DataFrame of shape (n_samples, 2)
            `sex` and `race`, which are columns of `data` too.
        feature_names, target_names, sensitive_feature_names : list of str
            Names of the columns of `data`, of the classes 0 and 1, and of the columns
            of `sensitive_features`.
        filenames : list of str
            The files that were read.
        DESCR : str
            Description of the data.

    Raises
    ------
    OSError
        If a file is not there and cannot be downloaded.
    ValueError
        If a file is damaged or not the expected one.

    References
    ----------
    .. [1] B. Becker and R. Kohavi, "Adult", UCI Machine Learning Repository, 1996.
       https://doi.org/10.24432/C5XW20

    Examples
    --------
    >>> from fairtask.datasets import fetch_adult
    >>> adult = fetch_adult()  # doctest: +SKIP
    >>> adult.data.shape  # doctest: +SKIP
    (45222, 14)
    """
    formats = {"adult/adult.data": _TRAINING_FORMAT, "adult/adult.test": _TEST_FORMAT}
    paths = [fetch_file(path, data_home) for path in formats]
    parts = [read_table(*part) for part in zip(paths, formats.values(), strict=True)]
    # Categories are made first: "Never-worked" occurs in incomplete rows only.
    data = as_categories(pd.concat(parts, ignore_index=True))
    if dropna:
        data = data.dropna(ignore_index=True)
    target = data.pop("income")
    return make_bunch(
        data,
        target,
        data[["sex", "race"]],
        target_names=["<=50K", ">50K"],
        paths=paths,
        description=__doc__,
        return_X_y=return_X_y,
    )
