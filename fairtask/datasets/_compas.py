"""COMPAS: recidivism in Broward County."""

import os
from typing import Any

from sklearn.utils._param_validation import validate_params

from fairtask.datasets._fetch import RemoteFile, fetch_file
from fairtask.datasets._table import (
    TableFormat,
    as_categories,
    make_bunch,
    read_table,
)

__all__ = ["fetch_compas"]

FILE = RemoteFile(
    path="compas/compas-scores-two-years.csv",
    url=(
        "https://raw.githubusercontent.com/propublica/compas-analysis/master/"
        "compas-scores-two-years.csv"
    ),
    sha256="c451db85908b2f7fef1d83203bedf6b71ecda0d5af468d82ae62178f91d0cc7d",
)

# Known when the person is screened, and not COMPAS's own scores.
_FEATURES = (
    "sex",
    "age",
    "race",
    "juv_fel_count",
    "juv_misd_count",
    "juv_other_count",
    "priors_count",
    "c_charge_degree",
)
_FILTERED_BY = ("days_b_screening_arrest", "is_recid", "c_charge_degree", "score_text")

# Two of the names occur twice.
# fmt: off
_COLUMNS = (
    "id", "name", "first", "last", "compas_screening_date", "sex", "dob", "age",
    "age_cat", "race", "juv_fel_count", "decile_score", "juv_misd_count",
    "juv_other_count", "priors_count", "days_b_screening_arrest", "c_jail_in",
    "c_jail_out", "c_case_number", "c_offense_date", "c_arrest_date",
    "c_days_from_compas", "c_charge_degree", "c_charge_desc", "is_recid",
    "r_case_number", "r_charge_degree", "r_days_from_arrest", "r_offense_date",
    "r_charge_desc", "r_jail_in", "r_jail_out", "violent_recid", "is_violent_recid",
    "vr_case_number", "vr_charge_degree", "vr_offense_date", "vr_charge_desc",
    "type_of_assessment", "decile_score", "score_text", "screening_date",
    "v_type_of_assessment", "v_decile_score", "v_score_text", "v_screening_date",
    "in_custody", "out_custody", "priors_count", "start", "end", "event",
    "two_year_recid",
)
# fmt: on

_FORMAT = TableFormat(
    columns=_COLUMNS,
    label="two_year_recid",
    labels={"0": 0, "1": 1},
    numeric=(
        "age",
        "juv_fel_count",
        "juv_misd_count",
        "juv_other_count",
        "priors_count",
        "days_b_screening_arrest",
        "is_recid",
    ),
    n_rows=7_214,
    n_positives=3_251,
    used=_FEATURES + _FILTERED_BY,
    incomplete=("days_b_screening_arrest",),
)

_DESCRIPTION = """\
COMPAS

6,172 of the 7,214 people screened with COMPAS in Broward County, Florida, in 2013
and 2014, whom ProPublica followed for two years: those its analysis keeps (charge
within 30 days of the screening, an outcome found, no ordinary traffic offence, a
score).

Target: a new offence within two years (2,809 people). Features: 5 numbers and 3
categories, all of them known at the screening; see the docstring for what was left
out. Sensitive features: `sex` (2 groups), `race` (6 groups, from 11 to 3,175
people).

Source: https://github.com/propublica/compas-analysis (public records).
J. Angwin, J. Larson, S. Mattu and L. Kirchner, "Machine bias", ProPublica, 2016.
"""


@validate_params(
    {
        "data_home": [str, os.PathLike, None],
        "return_X_y": ["boolean"],
    },
    prefer_skip_nested_validation=True,
)
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
        Folder that holds ``compas/compas-scores-two-years.csv``, or where it is
        written. By default the environment variable ``FAIRTASK_DATA`` or, where that
        is not set, :func:`sklearn.datasets.get_data_home`.
    return_X_y : bool, default=False
        Whether to return ``(data, target)`` instead of a Bunch. The sensitive
        features are columns of `data`.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch` or (DataFrame, Series)
        The Bunch has

        data : DataFrame of shape (6172, 8)
            Numbers are int64, everything else is of dtype ``category``.
        target : Series of shape (6172,)
            `two_year_recid`: 1 for a new offence within two years, else 0.
        sensitive_features : DataFrame of shape (6172, 2)
            `sex` and `race`, which are columns of `data` too.
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

    Notes
    -----
    The rows are those of ProPublica's analysis [1]_: at most 30 days between
    screening and arrest, an outcome on record (``is_recid != -1``), no ordinary
    traffic offence (``c_charge_degree != "O"``) and a score
    (``score_text != "N/A"``).

    The file has 53 columns, most of which were recorded after the screening. They
    must not be features, for they contain the outcome: with `start` and `end`, the
    time at risk that ends with the new offence, logistic regression reaches an AUC
    of 0.94, with `is_recid` one of 0.996. The features here give about 0.73 (0.74
    with gradient boosting). For the same reason the dates of release from jail and
    of custody are left out: they come after the screening, and who is in jail
    commits no recorded offence. COMPAS's own scores are left out because a model is
    to replace them.

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
    path = fetch_file(FILE, data_home)
    table = read_table(path, _FORMAT)
    kept = (
        table["days_b_screening_arrest"].abs().le(30)
        & table["is_recid"].ne(-1)
        & table["c_charge_degree"].ne("O")
        & table["score_text"].ne("N/A")
    )
    table = as_categories(table[kept].reset_index(drop=True))
    data = table[list(_FEATURES)]
    return make_bunch(
        data,
        table["two_year_recid"],
        data[["sex", "race"]],
        target_names=["no new offence", "new offence"],
        paths=[path],
        description=_DESCRIPTION,
        return_X_y=return_X_y,
    )
