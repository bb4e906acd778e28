"""Warnings and errors of `fairtask`."""

__all__ = [
    "BudgetNotMetError",
    "BudgetNotMetWarning",
    "CollapsedHeadWarning",
    "ConstantClassifierWarning",
    "FewSamplesWarning",
    "LossyErasureWarning",
    "NothingPenalizedWarning",
    "VacuousBoundWarning",
]


class BudgetNotMetError(ValueError):
    """No candidate is within the budget with the confidence that was asked for.

    The message has the reason. More held-out samples and fewer candidates make the
    upper limits smaller. A budget that is raised afterwards needs other samples.
    """


class BudgetNotMetWarning(UserWarning):
    """No candidate of a search is within the budget; the least disparate is chosen.

    Search over smaller values of ``lam``, or report that the budget was not met.
    """


class CollapsedHeadWarning(UserWarning):
    """A fairness head predicts nearly the same for every sample.

    Either the fairness loss has made it constant, or it has a task loss and has not
    learnt the task yet.

    With a constant head every difference between groups is zero. The trunk gets no
    gradient from its fairness loss, and the model is one trained on the task alone.
    ``fairness_head="probe"`` does not collapse once it has learnt the task: train for
    more epochs, or raise ``lam``.
    """


class ConstantClassifierWarning(UserWarning):
    """A classifier predicts one class for all samples although there are several.

    Its selection rates and error rates are the same in every group. That there is no
    difference says nothing about fairness. Raise ``lam``, train for more epochs, or
    set ``class_weight``; "Troubleshooting" in the user guide has more.
    """


class FewSamplesWarning(UserWarning):
    """A difference rests on a group with very few samples and may be due to chance.

    Join small groups, leave them out with ``min_group_size``, or collect more samples.
    """


class LossyErasureWarning(UserWarning):
    """The erasure has removed a large part of a task from the representation.

    The directions in which the groups' means differ are then those of the task, or the
    representation has hardly more directions than are removed. Erase fewer attributes,
    or rely on the penalty alone (``erase=False``).
    """


class NothingPenalizedWarning(UserWarning):
    """No difference between groups is penalised although ``lam < 1``.

    Either no sensitive features were given, or an attribute has fewer than two
    known groups. Pass the groups to `fit`, or set ``lam=1``.
    """


class VacuousBoundWarning(UserWarning):
    """A bound on a difference is 1 or more, and therefore says nothing.

    More samples, and for linear heads fewer units, make it smaller.
    """
