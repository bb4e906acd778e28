"""Attributes made of others: inside the levels of a column, and all groups in one."""

from typing import Any

import numpy as np

from fairtask._attribute_table import DEFAULT_NAME, attribute_table
from fairtask._frames import check_n_rows
from fairtask._sensitive import UNKNOWN, SensitiveFeatures, encode_sensitive_features

__all__ = ["encode_control_features", "inside_levels", "with_overall"]


def encode_control_features(control_features: Any, n_samples: int) -> SensitiveFeatures:
    """Encode the levels of one column, or the combinations of several, as groups."""
    table = attribute_table(control_features, "control_features")
    check_n_rows(control_features, len(table), "control_features", n_samples)
    # Columns without a name are no sensitive features.
    table = table.rename(columns=_name_of_control)
    control = encode_sensitive_features(
        table,
        n_samples=n_samples,
        intersectional=True,
        argument="control_features",
    )
    if not len(control.groups[0]):
        raise ValueError(
            "`control_features` must have a level; all its values are missing."
        )
    return control


def _name_of_control(name: Any) -> str:
    return str(name).replace(DEFAULT_NAME, "control_feature")


def inside_levels(
    sensitive: SensitiveFeatures, control: SensitiveFeatures, *, keep_groups: bool
) -> SensitiveFeatures:
    """Return each attribute inside each level of a control feature.

    An attribute inside a level is an attribute of its own, of which the samples of
    other levels are in no group. Groups that a level lacks are dropped unless
    `keep_groups`.
    """
    (levels,), (name_of_control,) = control.groups, control.names
    columns, names, groups = [], [], []
    for i, name in enumerate(sensitive.names):
        for level, value in enumerate(levels):
            inside = control.codes[:, 0] == level
            codes = np.where(inside, sensitive.codes[:, i], UNKNOWN)
            kept = np.arange(len(sensitive.groups[i]))
            if not keep_groups:
                kept, codes[codes >= 0] = np.unique(
                    codes[codes >= 0], return_inverse=True
                )
            columns.append(codes)
            names.append(f"{name} | {name_of_control}={value}")
            groups.append(sensitive.groups[i][kept])
    # Without a level there is no column.
    codes = np.array(columns, dtype=np.int64).reshape(len(columns), len(control.codes))
    return SensitiveFeatures(codes.T, names, groups)


def with_overall(sensitive: SensitiveFeatures) -> SensitiveFeatures:
    """Add, behind the attributes, each of them with all its groups as one."""
    everyone = np.where(sensitive.codes >= 0, 0, UNKNOWN)
    return SensitiveFeatures(
        np.hstack([sensitive.codes, everyone]),
        [*sensitive.names, *(f"overall of {name}" for name in sensitive.names)],
        [*sensitive.groups, *(np.array(["all"]) for _ in sensitive.names)],
    )
