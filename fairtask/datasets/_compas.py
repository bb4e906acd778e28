"""COMPAS.

6,172 of the 7,214 people who were screened with COMPAS in Broward County, Florida, in
2013 and 2014, and whom ProPublica followed for two years. They are the people in
ProPublica's analysis: charged within 30 days of the screening, with a known outcome and
a score, and not for an ordinary traffic offence.

Target: a new offence within two years (2,809 people). Features: 5 numbers and 3
categories, all of them known at the screening; the notes of `fetch_compas` explain why
other columns are left out. Sensitive features: `sex` (2 groups), `race` (6 groups, from
11 to 3,175 people).

Source: https://github.com/propublica/compas-analysis (public records).
J. Angwin, J. Larson, S. Mattu and L. Kirchner, "Machine bias", ProPublica, 2016.
"""

import os
from typing import Any

from sklearn.utils._param_validation import validate_params

from fairtask.datasets._fetch import fetch_file
from fairtask.datasets._table import (
    FETCHER_CONSTRAINTS,
    TableFormat,
    as_categories,
    make_bunch,
    read_table,
)

__all__ = ["fetch_compas"]

_COUNTS = ("juv_fel_count", "juv_misd_count", "juv_other_count", "priors_count")
# These are known when the person is screened. COMPAS's scores are not among them.
_FEATURES = ("sex", "age", "race", *_COUNTS, "c_charge_degree")

_FORMAT = TableFormat(
    columns=(*_FEATURES, "days_b_screening_arrest", "is_recid", "score_text"),
    numeric=("age", *_COUNTS, "days_b_screening_arrest", "is_recid"),
    label="two_year_recid",
    labels={"0": 0, "1": 1},
    n_rows=7_214,
    n_positives=3_251,
    incomplete=("days_b_screening_arrest",),
)


@validate_params(FETCHER_CONSTRAINTS, prefer_skip_nested_validation=True)
def fetch_compas(
    *,
    data_home: str | os.PathLike[str] | None = None,
    return_X_y: bool = False,
) -> Any:
    """Load ProPublica's COMPAS data, downloading it if necessary.

    The task is to predict a new offence within two years of the screening.

    ==================  ==========================================
    Samples             6,172
    Positives           2,809
    Features            8: 5 integers, 3 categories
    Sensitive features  `sex` (2 groups), `race` (6 groups)
    ==================  ==========================================

    Parameters
    ----------
    data_home : str or path-like, default=None
        Folder that holds ``compas/compas-scores-two-years.csv``; see
        :func:`fetch_adult`.
    return_X_y : bool, default=False
        Whether to return ``(data, target)`` instead of a Bunch. The sensitive
        features are columns of `data`.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch` or (DataFrame, Series)
        The Bunch has the entries described in :func:`fetch_adult`, among them

        data : DataFrame of shape (6172, 8)
            Numbers are int64, everything else is of dtype ``category``.
        target : Series of shape (6172,)
            `two_year_recid`: 1 for a new offence within two years, else 0.
        sensitive_features : DataFrame of shape (6172, 2)
            `sex` and `race`, which are columns of `data` too.

    Raises
    ------
    OSError, ValueError
        As in :func:`fetch_adult`.

    Notes
    -----
    The rows are those of ProPublica's analysis [1]_: at most 30 days between
    screening and arrest, an outcome on record (``is_recid != -1``), no ordinary
    traffic offence (``c_charge_degree != "O"``) and a score
    (``score_text != "N/A"``).

    The file has 53 columns, most of which were recorded after the screening. They
    must not be features because they contain the outcome. With `start` and `end`, the
    time at risk that ends with the new offence, logistic regression reaches an AUC of
    0.94; with `is_recid` it reaches 0.996. The features here give about 0.73 (0.74 with
    gradient boosting). The dates of release from jail and of custody are left out for
    the same reason: they come after the screening, and a person in jail commits no
    recorded offence. COMPAS's scores are left out because a model is to replace them.

    References
    ----------
    .. [1] J. Larson, S. Mattu, L. Kirchner and J. Angwin, "How we analyzed the
       COMPAS recidivism algorithm", ProPublica, 2016.

    Examples
    --------
    >>> from fairtask.datasets import fetch_compas
    >>> compas = fetch_compas()  # doctest: +SKIP
    >>> compas.sensitive_feature_names  # doctest: +SKIP
    ['sex', 'race']
    """
    path = fetch_file("compas/compas-scores-two-years.csv", data_home)
    table = read_table(path, _FORMAT)
    kept = (
        table["days_b_screening_arrest"].abs().le(30)
        & table["is_recid"].ne(-1)
        & table["c_charge_degree"].ne("O")
        & table["score_text"].ne("N/A")
    )
    # Categories are made last: no column keeps a value that occurs in no row.
    table = as_categories(table[kept].reset_index(drop=True))
    data = table[list(_FEATURES)]
    return make_bunch(
        data,
        table["two_year_recid"],
        data[["sex", "race"]],
        target_names=["no new offence", "new offence"],
        paths=[path],
        description=__doc__,
        return_X_y=return_X_y,
    )
