"""Warnings of `fairtask`."""

__all__ = [
    "BudgetNotMetWarning",
    "CollapsedHeadWarning",
    "NothingPenalizedWarning",
    "VacuousBoundWarning",
]


class BudgetNotMetWarning(UserWarning):
    """No candidate of a search is within the budget; the least disparate is chosen."""


class CollapsedHeadWarning(UserWarning):
    """A fairness head predicts nearly the same for every sample.

    Either the fairness loss has made it constant, or it has a task loss and has not
    learnt the task yet.

    With a constant head every difference between groups is zero. The trunk gets no
    gradient from its fairness loss, and the model is one trained on the task alone.
    """


class NothingPenalizedWarning(UserWarning):
    """No difference between groups is penalised although ``lam < 1``.

    Either no sensitive features were given, or an attribute has fewer than two
    known groups.
    """


class VacuousBoundWarning(UserWarning):
    """A bound on a difference is 1 or more, and therefore says nothing."""
