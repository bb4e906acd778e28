"""Warnings that `fairtask` issues."""

__all__ = [
    "BudgetNotMetWarning",
    "CollapsedHeadWarning",
    "NothingPenalizedWarning",
    "VacuousBoundWarning",
]


class BudgetNotMetWarning(UserWarning):
    """No candidate of a search has a disparity within the budget.

    The least disparate one was chosen.
    """


class CollapsedHeadWarning(UserWarning):
    """A fairness head predicts nearly the same for every sample.

    The fairness loss made it constant or, with a task loss of its own, it has not
    learnt the task yet.

    A constant head makes every difference between groups zero, so its fairness
    loss says nothing about the representation and the trunk gets no gradient from
    it: the model equals one trained on the task alone.
    """


class NothingPenalizedWarning(UserWarning):
    """No difference between groups is penalised although ``lam < 1``.

    Either no sensitive features were given, or an attribute has fewer than two
    known groups.
    """


class VacuousBoundWarning(UserWarning):
    """A bound on a difference is 1 or more, and says nothing."""
