import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairtask.model_selection import hypervolume, pareto_front

points_of = st.integers(1, 4).flatmap(
    lambda m: st.tuples(
        st.lists(
            st.lists(
                st.one_of(st.integers(0, 4).map(float), st.just(np.nan)),
                min_size=m,
                max_size=m,
            ),
            min_size=1,
            max_size=12,
        ),
        st.lists(st.booleans(), min_size=m, max_size=m),
    )
)


class TestParetoFront:
    def test_by_hand(self):
        points = [[0.91, 0.09], [0.90, 0.05], [0.89, 0.06], [0.91, 0.10]]
        front = pareto_front(points, greater_is_better=[True, False])
        assert front.tolist() == [True, True, False, False]

    def test_ties_are_on_the_front_together(self):
        assert pareto_front([[1, 2], [1, 2], [2, 2]]).tolist() == [True, True, False]

    def test_nan_is_not_on_the_front_and_beats_none(self):
        points = [[0, np.nan], [1, 1], [np.nan, np.nan]]
        assert pareto_front(points).tolist() == [False, True, False]

    def test_one_objective_and_no_point(self):
        front = pareto_front([[1], [3], [3]], greater_is_better=True)
        assert front.tolist() == [False, True, True]
        assert pareto_front(np.empty((0, 2))).shape == (0,)

    @given(data=points_of)
    def test_is_what_no_other_point_beats(self, data):
        points, directions = np.array(data[0]), data[1]
        costs = np.where(directions, -points, points)
        expected = [
            not np.isnan(a).any()
            and not any((b <= a).all() and (b < a).any() for b in costs)
            for a in costs
        ]
        front = pareto_front(pd.DataFrame(points), greater_is_better=directions)
        assert front.tolist() == expected


class TestHypervolume:
    def test_by_hand(self):
        # Two rectangles, 2 x 3 and 1 x 4, that share 1 x 3.
        volume = hypervolume([[1, 2], [2, 1], [np.nan, 0]], [3, 5])
        assert volume == 2 * 3 + 1 * 4 - 1 * 3

    def test_in_three_dimensions(self):
        assert hypervolume([[0, 0, 0]], [1, 2, 3]) == 6

    def test_points_beyond_the_reference_add_nothing(self):
        points = [[0.9, 0.1], [0.4, 0.0], [0.95, 0.6]]
        volume = hypervolume(points, [0.5, 0.5], greater_is_better=[True, False])
        assert volume == pytest.approx(0.4 * 0.4)
        assert hypervolume([[np.nan, 1]], [2, 2]) == 0

    @given(data=points_of)
    def test_is_that_of_the_front_and_grows_with_points(self, data):
        points, directions = np.array(data[0]), data[1]
        reference = np.where(directions, -1.0, 5.0)
        volume = hypervolume(points, reference, greater_is_better=directions)
        front = pareto_front(points, greater_is_better=directions)
        of_front = hypervolume(points[front], reference, greater_is_better=directions)
        assert of_front == pytest.approx(volume)
        less = hypervolume(points[1:], reference, greater_is_better=directions)
        assert less <= volume + 1e-9


@pytest.mark.parametrize(
    ("points", "arguments", "message"),
    [
        ([1, 2], {}, r"`points` must have shape .* got shape \(2,\)"),
        ([["a", "b"]], {}, "`points` must hold numbers"),
        ([[1, 2]], {"greater_is_better": [True]}, "`greater_is_better` .* 2 obj"),
        ([[1, 2]], {"greater_is_better": [1, 0]}, r"`greater_is_better` .* \[1, 0\]"),
        ([[1, 2]], {"greater_is_better": None}, "`greater_is_better` .* got None"),
        ([[1, 2]], {"greater_is_better": [True, [False]]}, "`greater_is_better` must"),
        ([[1, 2], [1]], {}, "`points` must hold numbers"),
        (None, {}, "`points` must have shape"),
    ],
)
def test_error_names_the_argument(points, arguments, message):
    with pytest.raises(ValueError, match=message):
        pareto_front(points, **arguments)
    with pytest.raises(ValueError, match=message):
        hypervolume(points, [3, 3], **arguments)


@pytest.mark.parametrize("reference", [[1], [1, np.nan], ["a", 1]])
def test_error_names_the_reference(reference):
    with pytest.raises(ValueError, match="`reference` must"):
        hypervolume([[1, 2]], reference)
