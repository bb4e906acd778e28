"""Public functions with wrong values: an error names an argument of the call.

One argument of a call that works is replaced in turn by values that hardly any argument
takes. Where a value is refused, the error is a ValueError or a TypeError whose message
names an argument. A value that suits the argument may pass, with or without a warning.
"""

import re

import matplotlib.pyplot as plt
import pytest

from tests._calls import CALLS, VALUES, wrong_values
from tests._selection_calls import SELECTION_CALLS

ALL_CALLS = [*CALLS, *SELECTION_CALLS]

NAMES = ("transformer", "y_pred", "y_true")
"""Names that `estimator`, `y_output` and `y` have in a function that is called."""


def problem(call, argument, value):
    """Say how the error for a value fails to name an argument; None if it does not."""
    try:
        call(**{argument: VALUES[value]})
    except (TypeError, ValueError) as error:
        # "The 'lr' parameter of" are the words of scikit-learn.
        arguments = "|".join([*call.arguments, *NAMES])
        if re.search(rf"`({arguments})\b|'{argument}' parameter", str(error)):
            return None
        return f"{value}: {type(error).__name__}: {error}"
    except Exception as error:
        return f"{value}: {type(error).__name__}: {error}"
    return None


@pytest.mark.parametrize("call", ALL_CALLS, ids=lambda call: call.name)
def test_call_works(call):
    call()
    plt.close("all")


@pytest.mark.parametrize("call", ALL_CALLS, ids=lambda call: call.name)
def test_errors_name_an_argument(call):
    problems = [
        (argument, problem(call, argument, value))
        for argument, values in wrong_values(call, ALL_CALLS)
        for value in values
    ]
    plt.close("all")
    assert [found for found in problems if found[1] is not None] == []
