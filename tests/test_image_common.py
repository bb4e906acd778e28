"""scikit-learn's checks of the estimators for images.

The checks pass rows of numbers, which these estimators refuse. They therefore run on
subclasses whose modality makes an image of each row. The checks of labels, weights,
parameters, clones, pickles and errors thus hold for images too. The checks of `X` test
scikit-learn's own `validate_data` here.
"""

import warnings
from dataclasses import dataclass, fields

import numpy as np
import pytest
from sklearn.utils.estimator_checks import (
    check_param_validation,
    estimator_checks_generator,
    parametrize_with_checks,
)
from sklearn.utils.validation import validate_data
from timm.models import register_model
from torch import nn

from fairtask._images._modality import ImageModality, as_images
from tests._inputs import NOT_LEARNT
from tests.test_common import EXPECTED_FAILURES, no_penalty
from tests.test_image import ESTIMATORS

PIXELS = 12


# By name, because each copy of a module has another hash, whatever its weights.
@register_model
def fairtask_flat(pretrained=False, **kwargs):
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * PIXELS, 32), nn.ReLU())


@dataclass(kw_only=True)
class RowModality(ImageModality):
    """Rows, each taken for an image of one column."""

    def validate(self, X, estimator, *, reset):
        X = validate_data(estimator, X, reset=reset, dtype=np.float64)
        return as_images((np.tanh(X / 4) + 1)[:, :, None] / 2)


class OfRows:
    def _make_modality(self):
        return RowModality(
            **{f.name: getattr(self, f.name) for f in fields(RowModality) if f.init}
        )

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.one_d_array = tags.input_tags.three_d_array = False
        tags.input_tags.two_d_array, tags.input_tags.string = True, False
        return tags


def of_rows(estimator_class):
    """Return the estimator for rows."""
    name = f"{estimator_class.__name__}OfRows"
    cls = type(name, (OfRows, estimator_class), {"__module__": __name__})
    globals()[name] = cls  # pickles find it there
    return cls(
        "fairtask_flat",
        image_size=(PIXELS, 1),
        max_epochs=30,
        batch_size=512,
        lr=0.02,
        device="cpu",
    )


@pytest.mark.slow
@no_penalty
@pytest.mark.filterwarnings(NOT_LEARNT)
@parametrize_with_checks(
    [of_rows(cls) for cls in ESTIMATORS],
    expected_failed_checks=lambda _: EXPECTED_FAILURES,
)
def test_scikit_learn_check(estimator, check):
    check(estimator)


@pytest.mark.parametrize("cls", ESTIMATORS)
def test_parameters_are_validated(cls):
    check_param_validation(cls.__name__, cls())


@pytest.mark.parametrize("cls", ESTIMATORS)
def test_scikit_learn_itself_checks_nothing_of_images(cls):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        (only,) = estimator_checks_generator(cls())
    assert only[1].func.__name__ == "check_estimator_cloneable"
    assert "requires input" in str(caught[0].message)
