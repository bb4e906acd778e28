"""How many samples of each group an audit rests on, and groups with too few."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from fairtask._columns import codes_of
from fairtask._sensitive import FEW
from fairtask._validation import warn_user
from fairtask.exceptions import FewSamplesWarning
from fairtask.metrics._group_metric import GroupMetric
from fairtask.metrics._names import REPORTED
from fairtask.metrics._rates import GroupRates
from fairtask.metrics._represented_samples import RepresentedSamples
from fairtask.metrics._samples import GroupedSamples
from fairtask.metrics._statistics import n_needed

__all__ = ["GroupSizes"]


@dataclass(frozen=True)
class GroupSizes:
    """Sizes of the groups in both parts of an audit.

    Attributes
    ----------
    train : RepresentedSamples
    test : GroupedSamples
        Of the same attributes; their groups may differ.
    min_group_size : int
        Smallest number of test samples of the kind needed that a compared group has.
    """

    train: RepresentedSamples
    test: GroupedSamples
    min_group_size: int

    def table(self) -> pd.DataFrame:
        """Count samples; a row per attribute and group, a column per part and class."""
        tables = []
        sensitive = self.train.sensitive
        for name, codes, groups, groups_test, outcomes in zip(
            sensitive.names,
            sensitive.codes.T,
            sensitive.groups,
            self.test.sensitive.groups,
            self._test_tables(),
            strict=True,
        ):
            only_test, _ = _apart(groups, groups_test)
            every = [*groups.tolist(), *only_test]
            counts = np.zeros((2, len(every), len(self.train.classes)), dtype=np.int64)
            known = codes >= 0
            np.add.at(counts[0], (codes[known], self.train.codes[known]), 1)
            rows = [every.index(group) for group in groups_test.tolist()]
            counts[1, rows] = outcomes.sum(-1)  # over the predicted classes
            columns = pd.MultiIndex.from_product(
                [["training", "test"], self.train.classes.tolist()],
                names=["part", "class"],
            )
            table = pd.DataFrame(np.hstack([*counts]), columns=columns)
            index = pd.DataFrame({"attribute": name, "group": every})
            tables.append(table.set_index(pd.MultiIndex.from_frame(index)))
        return pd.concat(tables)

    def left_out(self) -> dict[tuple[str, str], list]:
        """Find the groups that each metric leaves out, by attribute and metric."""
        found = {
            (attribute, metric.name): groups[n < self.min_group_size].tolist()
            for attribute, metric, groups, n in self._needed()
        }
        return {key: groups for key, groups in found.items() if groups}

    def notes(self) -> list[str]:
        """Say which groups occur in one of the two parts alone."""
        notes = []
        for name, groups, groups_test in zip(
            self.train.sensitive.names,
            self.train.sensitive.groups,
            self.test.sensitive.groups,
            strict=True,
        ):
            only_test, only_train = _apart(groups, groups_test)
            if only_test:
                notes.append(
                    f"group_auc of {name!r} leaves out groups without training "
                    f"samples: {_listed(only_test)}"
                )
            if only_train:
                notes.append(
                    f"the differences of {name!r} leave out groups without test "
                    f"samples: {_listed(only_train)}"
                )
        return notes

    def warn_of_few(self) -> None:
        """Warn of differences that rest on few samples of a group."""
        fewest: dict[str, dict] = {}
        for attribute, _, groups, n in self._needed():
            small = (n >= self.min_group_size) & (n < FEW)
            of_attribute = fewest.setdefault(attribute, {})
            for group, size in zip(
                groups[small].tolist(), n[small].tolist(), strict=True
            ):
                of_attribute[group] = min(size, of_attribute.get(group, size))
        listed = [
            f"{attribute!r}: "
            + ", ".join(f"{group} ({size})" for group, size in sizes.items())
            for attribute, sizes in fewest.items()
            if sizes
        ]
        if listed:
            warn_user(
                FewSamplesWarning,
                "Differences in `audit_representation` rest on groups of which a rate "
                f"has fewer than {FEW} test samples. They may be due to chance. Leave "
                "these groups out with a larger `min_group_size`, or join them:\n- "
                + ";\n- ".join(listed)
                + ".",
            )

    def _test_tables(self) -> list[np.ndarray]:
        return self.test.by_attribute(self.test.tables(), axis=0)

    def _needed(self) -> Iterator[tuple[str, GroupMetric, np.ndarray, np.ndarray]]:
        """Yield attribute, metric, groups, and the samples that each group has for it.

        Of several rates and classes those with the fewest samples count.
        """
        sensitive = self.test.sensitive
        for name, groups, tables in zip(
            sensitive.names, sensitive.groups, self._test_tables(), strict=True
        ):
            for metric in REPORTED:
                if metric.family is GroupRates:
                    n = [n_needed(metric.needs, tables, c) for c in self.test.positives]
                    yield name, metric, groups, np.min(n, axis=0)


def _apart(groups: np.ndarray, groups_test: np.ndarray) -> tuple[list, list]:
    """Return the groups that the test samples alone have, and the training samples."""
    return (
        groups_test[codes_of(groups_test, groups) < 0].tolist(),
        groups[codes_of(groups, groups_test) < 0].tolist(),
    )


def _listed(groups: list) -> str:
    return ", ".join(str(group) for group in groups)
