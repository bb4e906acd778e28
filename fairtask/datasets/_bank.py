"""Bank Marketing.

45,211 telephone calls of a Portuguese bank's campaigns from May 2008 to November 2010
(`bank-full.csv`).

Target: the client subscribes to a term deposit (5,289 calls). Features: 6 numbers and
9 categories; "unknown" is a category like the others. `duration` (of the call, in
seconds) is left out by default: it is known only when the call has ended, and so is
the outcome. Sensitive feature: `age` in two groups, "25-60" (both included, 43,214
calls) and "other" (1,997 calls).

Source: UCI Machine Learning Repository, https://doi.org/10.24432/C5K306, licence
CC BY 4.0. S. Moro, R. Laureano and P. Cortez, "Using data mining for bank direct
marketing: an application of the CRISP-DM methodology", ESM 2011.
"""

import os
from typing import Any

import numpy as np
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

__all__ = ["fetch_bank_marketing"]

_FORMAT = TableFormat(
    columns=(
        "age", "job", "marital", "education", "default", "balance", "housing", "loan",
        "contact", "day", "month", "duration", "campaign", "pdays", "previous",
        "poutcome",
    ),
    numeric=("age", "balance", "day", "duration", "campaign", "pdays", "previous"),
    label="y",
    labels={"no": 0, "yes": 1},
    n_rows=45_211,
    n_positives=5_289,
    delimiter=";",
)  # fmt: skip


@validate_params(
    FETCHER_CONSTRAINTS | {"include_duration": ["boolean"]},
    prefer_skip_nested_validation=True,
)
def fetch_bank_marketing(
    *,
    data_home: str | os.PathLike[str] | None = None,
    include_duration: bool = False,
    return_X_y: bool = False,
) -> Any:
    """Load the Bank Marketing data, downloading it if necessary.

    The task is to predict whether a client who is called subscribes to a term deposit.

    ==================  ==========================================
    Samples             45,211
    Positives           5,289
    Features            15: 6 integers, 9 categories
    Sensitive features  `age` (2 groups)
    ==================  ==========================================

    Parameters
    ----------
    data_home : str or path-like, default=None
        Folder that holds ``bank/bank-full.csv``; see :func:`fetch_adult`.
    include_duration : bool, default=False
        Whether `duration`, the length of the call in seconds, is a feature. It is
        known only when the call has ended, and then the outcome is known as well. A
        model that uses it cannot be applied in practice, although the literature
        reports results of such models.
    return_X_y : bool, default=False
        Whether to return ``(data, target)`` instead of a Bunch. The pair has the
        age as a number, in `data`, and not the age groups.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch` or (DataFrame, Series)
        The Bunch has the entries described in :func:`fetch_adult`, among them

        data : DataFrame of shape (45211, 15) or (45211, 16)
            Numbers are int64, everything else is of dtype ``category``.
        target : Series of shape (45211,)
            `subscribed`: 1 for yes, 0 for no.
        sensitive_features : DataFrame of shape (45211, 1)
            `age` as one of the groups "25-60" (both included) and "other"; `data`
            has it as a number.

    Raises
    ------
    OSError, ValueError
        As in :func:`fetch_adult`.

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
    path = fetch_file("bank/bank-full.csv", data_home)
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
        description=__doc__,
        return_X_y=return_X_y,
    )
