"""Bank Marketing: subscriptions to a term deposit."""

import os
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils._param_validation import validate_params

from fairtask.datasets._fetch import RemoteFile, fetch_file
from fairtask.datasets._table import (
    TableFormat,
    as_categories,
    make_bunch,
    read_table,
)

__all__ = ["fetch_bank_marketing"]

FILE = RemoteFile(
    path="bank/bank-full.csv",
    url="https://archive.ics.uci.edu/ml/machine-learning-databases/00222/bank.zip",
    sha256="d1513ec63b385506f7cfce9f2c5caa9fe99e7ba4e8c3fa264b3aaf0f849ed32d",
    archive_sha256="99d7e8eb12401ed278b793984423915411ea8df099e1795f9fefe254f513fe5e",
)

_FORMAT = TableFormat(
    columns=(
        "age",
        "job",
        "marital",
        "education",
        "default",
        "balance",
        "housing",
        "loan",
        "contact",
        "day",
        "month",
        "duration",
        "campaign",
        "pdays",
        "previous",
        "poutcome",
        "y",
    ),
    label="y",
    labels={"no": 0, "yes": 1},
    numeric=(
        "age",
        "balance",
        "day",
        "duration",
        "campaign",
        "pdays",
        "previous",
    ),
    n_rows=45_211,
    n_positives=5_289,
    delimiter=";",
)

_DESCRIPTION = """\
Bank Marketing

45,211 telephone calls of a Portuguese bank's campaigns from May 2008 to November
2010 (`bank-full.csv`).

Target: the client subscribes a term deposit (5,289 calls). Features: 6 numbers and
9 categories; "unknown" is a category like the others. `duration` (of the call, in
seconds) is left out unless asked for: it is known when the call has ended, and so
is the outcome. Sensitive feature: `age` in two groups, "25-60" (both included,
43,214 calls) and "other" (1,997 calls).

Source: UCI Machine Learning Repository, https://doi.org/10.24432/C5K306, licence
CC BY 4.0. S. Moro, R. Laureano and P. Cortez, "Using data mining for bank direct
marketing: an application of the CRISP-DM methodology", ESM 2011.
"""


@validate_params(
    {
        "data_home": [str, os.PathLike, None],
        "include_duration": ["boolean"],
        "return_X_y": ["boolean"],
    },
    prefer_skip_nested_validation=True,
)
def fetch_bank_marketing(
    *,
    data_home: str | os.PathLike[str] | None = None,
    include_duration: bool = False,
    return_X_y: bool = False,
) -> Any:
    """Load the Bank Marketing data, downloading it if necessary.

    The task is to predict whether a client who is called subscribes a term deposit.

    ==================  ==========================================
    Samples             45,211
    Positives           5,289
    Features            15: 6 integers, 9 categories
    Sensitive features  `age` (2 groups)
    ==================  ==========================================

    Parameters
    ----------
    data_home : str or path-like, default=None
        Folder that holds ``bank/bank-full.csv``, or where it is written. By default
        the environment variable ``FAIRTASK_DATA`` or, where that is not set,
        :func:`sklearn.datasets.get_data_home`.
    include_duration : bool, default=False
        Whether `duration`, the length of the call in seconds, is a feature. It is
        not known before the call has ended, and then the outcome is known as well;
        results of the literature that use it are those of a model that cannot be
        used.
    return_X_y : bool, default=False
        Whether to return ``(data, target)`` instead of a Bunch. The pair has the
        age as a number, in `data`, and not the age groups.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch` or (DataFrame, Series)
        The Bunch has

        data : DataFrame of shape (45211, 15) or (45211, 16)
            Numbers are int64, everything else is of dtype ``category``.
        target : Series of shape (45211,)
            `subscribed`: 1 for yes, 0 for no.
        sensitive_features : DataFrame of shape (45211, 1)
            `age` as one of the groups "25-60" (both included) and "other"; `data`
            has it as a number.
        feature_names, target_names, sensitive_feature_names : list of str
            Names of the columns of `data`, of the classes 0 and 1, and of the columns
            of `sensitive_features`.
        filenames : list of str
            The file read.
        DESCR : str
            Description of the data.

    Raises
    ------
    OSError
        If the file is not there and cannot be downloaded.
    ValueError
        If the file is damaged or not the expected one.

    References
    ----------
    .. [1] S. Moro, R. Laureano and P. Cortez, "Using data mining for bank direct
       marketing: an application of the CRISP-DM methodology", ESM 2011.
       https://doi.org/10.24432/C5K306

    Examples
    --------
    >>> from fairtask.datasets import fetch_bank_marketing
    >>> bank = fetch_bank_marketing()  # doctest: +SKIP
    >>> bank.sensitive_features["age"].value_counts().to_dict()  # doctest: +SKIP
    {'25-60': 43214, 'other': 1997}
    """
    path = fetch_file(FILE, data_home)
    data = as_categories(read_table(path, _FORMAT))
    target = data.pop("y").rename("subscribed")
    if not include_duration:
        data = data.drop(columns="duration")
    groups = np.where(data["age"].between(25, 60), "25-60", "other")
    return make_bunch(
        data,
        target,
        as_categories(pd.DataFrame({"age": groups})),
        target_names=["no", "yes"],
        paths=[path],
        description=_DESCRIPTION,
        return_X_y=return_X_y,
    )
