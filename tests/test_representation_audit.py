"""Audits of representations: heads, groups read from them, peers and errors."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy import sparse
from sklearn.base import BaseEstimator, clone
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.dummy import DummyClassifier
from sklearn.exceptions import NotFittedError, UndefinedMetricWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier

from fairtask import metrics
from fairtask.exceptions import FewSamplesWarning
from fairtask.metrics import audit_representation, bootstrap
from fairtask.model_selection import RepresentationDisplay

N = 600
RNG = np.random.default_rng(0)
Z = pd.DataFrame(
    {"sex": RNG.choice(["f", "m"], N), "race": RNG.choice(["a", "b", "c"], N)}
)
Y = RNG.integers(2, size=N)
# One unit follows the label and, less, the group; the other is noise.
H = np.column_stack([Y + (Z["sex"] == "m") + RNG.normal(size=N), RNG.normal(size=N)])
LINEAR = {"linear": LogisticRegression()}


class Lookup:
    """A transformer that is no estimator; its samples are row numbers."""

    def __init__(self, h):
        self.h = h

    def transform(self, X):
        return self.h[np.asarray(X)]


class Slice(Lookup):
    """One that returns views of its array."""

    def transform(self, X):
        return self.h[X[0] : X[-1] + 1]


class Classifier(Lookup):
    """One that predicts as well, by its first unit."""

    classes_ = np.array([0, 1])

    def predict(self, X):
        return (self.transform(X)[:, 0] > 1).astype(int)


def audit(transformer=H, y=Y, z=Z, **kwargs):
    """Fit to the first half of the samples and judge by the second."""
    if not hasattr(transformer, "transform"):
        transformer = Lookup(np.asarray(transformer, dtype=float))
    arguments = {
        "X": np.arange(N // 2),
        "y": y[: N // 2],
        "sensitive_features": z[: N // 2],
        "X_test": np.arange(N // 2, N),
        "y_test": y[N // 2 :],
        "sensitive_features_test": z[N // 2 :],
        "heads": LINEAR,
        "n_resamples": 0,
        "random_state": 0,
        **kwargs,
    }
    return audit_representation(transformer, **arguments)


class TestHeads:
    def test_values_are_those_of_a_head_fitted_by_hand(self):
        found = audit()
        y_test, z_test = Y[N // 2 :], Z[N // 2 :]
        head = LogisticRegression().fit(H[: N // 2], Y[: N // 2])
        y_pred = head.predict(H[N // 2 :])
        score = head.decision_function(H[N // 2 :])
        assert found.performance.loc[("roc_auc", "linear"), "value"] == pytest.approx(
            roc_auc_score(y_test, score)
        )
        assert found.performance.loc[("accuracy", "linear"), "value"] == pytest.approx(
            (y_pred == y_test).mean()
        )
        names = found.differences.index.unique("metric").tolist()
        assert names[0] == "equalized_odds_difference"
        assert len(names) == 4
        for name in names:
            expected = getattr(metrics, name)(
                y_test, y_pred, sensitive_features=z_test, attributes="each"
            )
            values = found.differences["value"].xs((name, "linear"), level=(1, 2))
            assert values.to_dict() == pytest.approx(expected)

    def test_intervals_are_those_of_the_bootstrap(self):
        found = audit(n_resamples=500, confidence_level=0.9)
        head = LogisticRegression().fit(H[: N // 2], Y[: N // 2])
        expected = bootstrap(
            "equalized_odds_difference",
            Y[N // 2 :],
            head.predict(H[N // 2 :]),
            sensitive_features=Z["sex"][N // 2 :],
            confidence_level=0.9,
            n_resamples=500,
            random_state=0,
        )
        row = found.differences.loc[("sex", "equalized_odds_difference", "linear")]
        assert row["high"] == pytest.approx(expected.high)  # from Wilson's limits
        assert row["low"] == pytest.approx(expected.low, abs=0.02)
        for table in (found.performance, found.differences, found.group_auc):
            assert (table["low"] <= table["value"]).all()
            assert (table["value"] <= table["high"]).all()

    def test_default_heads_and_seed(self):
        first, again = (audit(heads=None, n_resamples=50) for _ in range(2))
        names = ["logistic regression", "boosted trees"]
        assert first.performance.index.unique("head").tolist() == names
        for part in ("performance", "differences", "group_auc"):
            pd.testing.assert_frame_equal(getattr(first, part), getattr(again, part))

    def test_intervals_of_a_head_do_not_depend_on_the_others(self):
        tree = DecisionTreeClassifier(max_depth=2, random_state=0)
        alone = audit(n_resamples=50)
        both = audit(n_resamples=50, heads={"tree": tree, **LINEAR})
        rows = both.differences.xs("linear", level="head", drop_level=False)
        pd.testing.assert_frame_equal(rows, alone.differences, check_index_type=False)
        assert not hasattr(tree, "tree_")  # a copy was fitted

    def test_own_prediction_comes_first(self):
        transformer = Classifier(H)
        with pytest.warns(UndefinedMetricWarning, match="roc_auc of 'own prediction'"):
            found = audit(transformer)
        assert found.performance.index.unique("head")[0] == "own prediction"
        expected = metrics.equalized_odds_difference(
            Y[N // 2 :],
            transformer.predict(np.arange(N // 2, N)),
            sensitive_features=Z["sex"][N // 2 :],
        )
        name = "equalized_odds_difference"
        assert found.differences.loc[("sex", name, "own prediction"), "value"] == (
            pytest.approx(expected)
        )

    @pytest.mark.parametrize(
        ("y", "kwargs"), [(Y, {"own_prediction": False}), (Y + 1, {})]
    )
    def test_own_prediction_of_another_task_is_left_out(self, y, kwargs):
        heads = audit(Classifier(H), y=y, **kwargs).performance.index.unique("head")
        assert heads.tolist() == ["linear"]

    def test_labels_of_any_type(self):
        names = np.where(Y, "yes", "no")
        assert_allclose(audit(y=names).differences, audit().differences)

    @pytest.mark.filterwarnings("ignore::fairtask.exceptions.FewSamplesWarning")
    def test_several_classes_are_judged_by_accuracy(self):
        found = audit(y=Y + (H[:, 1] > 1))
        assert found.performance.index.unique("metric").tolist() == ["accuracy"]
        assert found.performance["value"].item() > 0.5

    def test_constant_head_is_marked(self):
        found = audit(heads={"none": DummyClassifier(), **LINEAR})
        assert found.constant_heads == ["none"]
        assert "All predictions of none are one class" in repr(found)

    def test_head_with_decision_values(self):
        values = audit(heads={"svm": LinearSVC()}).performance["value"]
        assert values["roc_auc", "svm"] > 0.6


class TestGroupAUC:
    def test_group_that_is_a_unit_is_read_without_an_error(self):
        found = audit(np.column_stack([Y, Z["sex"] == "m"]), n_resamples=100)
        value, low, high = found.group_auc.loc["sex"]
        assert value == high == 1
        assert 0.95 < low < 1

    def test_group_cannot_be_read_from_noise(self):
        found = audit(np.random.default_rng(1).normal(size=(N, 3)), n_resamples=200)
        for attribute in ("sex", "race"):
            value, low, high = found.group_auc.loc[attribute]
            assert value == pytest.approx(0.5, abs=0.06)
            assert low < 0.5 < high

    @pytest.mark.filterwarnings("ignore::fairtask.exceptions.FewSamplesWarning")
    def test_group_that_only_the_class_tells(self):
        """The label says nearly all of the group, and the representation no more."""
        z = pd.DataFrame({"group": np.where(np.arange(N) % 20, Y, 1 - Y).astype(str)})
        found = audit(Y[:, None], z=z)
        assert found.group_auc["value"].item() == 0.5

    def test_mean_of_the_classes_by_hand(self):
        group = (Z["sex"] == "m").to_numpy()
        aucs = []
        for c in (0, 1):
            rows = np.flatnonzero(c == Y)
            train, test = rows[rows < N // 2], rows[rows >= N // 2]
            model = make_pipeline(StandardScaler(), LogisticRegression())
            model.fit(H[train], group[train])
            aucs.append(roc_auc_score(group[test], model.decision_function(H[test])))
        assert audit().group_auc.loc["sex", "value"] == pytest.approx(np.mean(aucs))

    def test_three_groups_each_against_the_rest(self):
        h = np.column_stack([Y, Z["race"] == "a"])
        # Group a is read without an error. The other two are told from a, but not from
        # each other: of their pairs with the rest about half are in order by chance.
        value = audit(h).group_auc.loc["race", "value"]
        assert value == pytest.approx((1 + 0.75 + 0.75) / 3, abs=0.06)

    def test_interval_is_as_wide_as_the_spread_over_test_samples(self):
        rng = np.random.default_rng(0)
        z = pd.DataFrame({"group": rng.integers(2, size=N)})
        h = z.to_numpy() + rng.normal(size=(N, 1))
        found = audit(h, z=z, n_resamples=500).group_auc.iloc[0]
        values = []
        for seed in range(100):
            drawn = np.random.default_rng(seed)
            y, z_test = drawn.integers(2, size=(2, N // 2))
            score = z_test + drawn.normal(size=N // 2)
            values.append(
                np.mean([roc_auc_score(z_test[y == c], score[y == c]) for c in (0, 1)])
            )
        width = found["high"] - found["low"]
        assert width == pytest.approx(2 * 1.96 * np.std(values), rel=0.25)

    def test_unknown_groups_are_left_out(self):
        z = Z[["sex"]].copy()
        unknown = np.arange(N) % 3 == 0
        z[unknown] = None
        # Wrong signs where the group is unknown would spoil it if they counted.
        h = np.where(unknown, 9.0 * RNG.normal(size=N), Z["sex"] == "m")[:, None]
        assert audit(h, z=z).group_auc["value"].item() == 1

    def test_class_with_one_group_is_left_out(self):
        z = pd.DataFrame({"sex": Z["sex"].where(Y == 1, "f")})
        h = np.column_stack([z["sex"] == "m", H[:, 1]])
        with pytest.warns(
            UndefinedMetricWarning, match="'sex' in class 0 leaves out groups: f, m"
        ):
            found = audit(h, z=z)
        assert found.group_auc["value"].item() == 1

    def test_undefined(self):
        z = pd.DataFrame({"sex": np.full(N, "f")})
        with pytest.warns(UndefinedMetricWarning) as record:
            found = audit(z=z, n_resamples=50)
        assert len(record) == 1
        message = str(record[0].message)
        assert "`audit_representation`" in message
        assert "group_auc of 'sex' is NaN: it takes two groups in a class" in message
        assert found.group_auc.isna().all(axis=None)
        assert found.differences.isna().all(axis=None)
        assert found.performance.notna().all(axis=None)

    def test_group_of_the_test_alone_counts_in_differences(self):
        z = Z[["sex"]].copy()
        z.loc[N - 60 :, "sex"] = "x"
        with pytest.warns(
            UndefinedMetricWarning, match="'sex' leaves out .*training samples: x"
        ):
            found = audit(z=z)
        head = LogisticRegression().fit(H[: N // 2], Y[: N // 2])
        expected = metrics.equalized_odds_difference(
            Y[N // 2 :], head.predict(H[N // 2 :]), sensitive_features=z[N // 2 :]
        )
        assert found.differences["value"].iloc[0] == pytest.approx(expected)
        assert np.isfinite(found.group_auc["value"].item())

    def test_small_groups_are_left_out(self):
        sizes = pd.crosstab(Z["sex"][N // 2 :], Y[N // 2 :])
        smaller, larger = sizes.min().sort_values().index
        message = f"'sex' in class {smaller} leaves out groups: f, m"
        with pytest.warns(UndefinedMetricWarning, match=message):
            found = audit(z=Z[["sex"]], min_group_size=int(sizes[larger].min()))
        assert np.isfinite(found.group_auc["value"].item())


class TestGroupSizes:
    def test_are_counted_by_part_and_class(self):
        sizes = audit().group_sizes
        for part, rows in [
            ("training", slice(0, N // 2)),
            ("test", slice(N // 2, N)),
        ]:
            for name in ("sex", "race"):
                expected = pd.crosstab(Z[name][rows], Y[rows])
                assert sizes.loc[name, part].to_numpy().tolist() == (
                    expected.to_numpy().tolist()
                )

    def test_intersections_are_tuples(self):
        sizes = audit(attributes="intersection").group_sizes
        assert sizes.loc["sex & race"].index.tolist()[0] == ("f", "a")
        assert sizes.to_numpy().sum() == N

    def test_groups_that_are_left_out_are_named(self):
        z = Z[["race"]].copy()
        # The test samples have 12 of a fourth group, 4 of them positive.
        chosen = [*np.flatnonzero(Y == 0)[-8:], *np.flatnonzero(Y == 1)[-4:]]
        z.loc[[*chosen, *range(40)], "race"] = "d"
        # AUCs inside the classes leave it out, too.
        with pytest.warns(UndefinedMetricWarning, match="in class 0 leaves out .* d"):
            found = audit(z=z, min_group_size=10)
        assert found.left_out == {
            ("race", "equal_opportunity_difference"): ["d"],
            ("race", "equalized_odds_difference"): ["d"],
        }
        assert (
            "Groups of race left out of equal_opportunity_difference, "
            "equalized_odds_difference: d"
        ) in found.to_text()
        assert "left out of" in found._repr_html_()
        with pytest.warns(FewSamplesWarning, match=r"- 'race': d \(4\)\.$"):
            found = audit(z=z)
        assert found.left_out == {}

    @pytest.mark.parametrize(("n", "is_few"), [(9, True), (10, False)])
    def test_few_samples_of_a_class(self, n, is_few):
        z = pd.DataFrame({"group": np.full(N, "a")})
        for c in (0, 1):
            rows = np.flatnonzero(c == Y)
            z.loc[rows[:30], "group"] = "b"
            z.loc[rows[len(rows) - (n if c else 30) :], "group"] = "b"
        if is_few:
            with pytest.warns(FewSamplesWarning, match=r"b \(9\)"):
                audit(z=z)
        else:
            audit(z=z)  # any warning would be an error

    def test_groups_of_one_part_are_named(self):
        z = Z[["sex"]].copy()
        z.loc[: N // 2 - 1, "sex"] = z["sex"].str.upper()
        with pytest.warns(UndefinedMetricWarning) as record:
            found = audit(z=z)
        message = str(record[0].message)
        assert (
            "group_auc of 'sex' leaves out groups without training samples: f, m"
            in (message)
        )
        assert "differences of 'sex' leave out groups without test samples: F, M" in (
            message
        )
        assert found.group_auc["value"].isna().all()
        assert found.group_sizes.loc["sex"].index.tolist() == ["F", "M", "f", "m"]


class TestRepresentation:
    @pytest.mark.parametrize(
        ("dtype", "constant", "noise"),
        [(np.float64, 0, 1e-19), (np.float32, 3, 2e-7)],
    )
    def test_rounding_errors_are_not_read(self, dtype, constant, noise):
        errors = constant + noise * (Z["sex"] == "m").to_numpy()
        h = np.column_stack([H[:, 1], errors]).astype(dtype)
        tree = {"tree": DecisionTreeClassifier(random_state=0)}
        with pytest.warns(UserWarning, match=r"The units \[1\] .* are set to 0"):
            found = audit(Slice(h), heads=tree)
        clean = audit(Slice(h[:, :1]), heads=tree)
        assert len(np.unique(h[:, 1])) == 2  # the user's array is as it was
        assert_allclose(found.group_auc, clean.group_auc)
        assert_allclose(found.differences, clean.differences)

    def test_units_beside_a_much_larger_one_are_named(self):
        h = np.column_stack([H, 1e8 * H[:, 0]]).astype(np.float32)
        with pytest.warns(UserWarning, match=r"units \[0, 1.* could be the rounding"):
            audit(Lookup(h))

    def test_small_units_count(self):
        h = np.column_stack([1e6 * H[:, 1], 1e-3 * (Z["sex"] == "m")])
        assert audit(h).group_auc.loc["sex", "value"] == 1

    @pytest.mark.parametrize(
        "convert", [sparse.csr_array, np.float32, pd.DataFrame, np.asfortranarray]
    )
    def test_containers(self, convert):
        class Converted(Lookup):
            def transform(self, X):
                return convert(super().transform(X))

        assert_allclose(audit(Converted(H)).differences, audit().differences)

    def test_peers(self):
        X = np.column_stack([H, RNG.normal(size=(N, 2))])
        parts = {"X": X[: N // 2], "X_test": X[N // 2 :]}
        pca = make_pipeline(StandardScaler(), PCA(2)).fit(parts["X"])
        assert audit(pca, **parts).performance.index.unique("head").tolist() == [
            "linear"
        ]
        lda = LinearDiscriminantAnalysis().fit(parts["X"], Y[: N // 2])
        values = audit(lda, **parts).performance["value"]["roc_auc"]
        assert values["own prediction"] == pytest.approx(values["linear"], abs=0.01)
        identity = FunctionTransformer()
        assert np.isfinite(audit(identity, **parts).group_auc["value"]).all()

    def test_intersection(self):
        found = audit(attributes="intersection")
        assert found.group_auc.index.tolist() == ["sex & race"]
        assert found.differences.index.unique("attribute").tolist() == ["sex & race"]

    def test_text(self):
        text = audit(n_resamples=50).to_text()
        assert "Heads on the representation, with 95% intervals" in text
        assert "equalized_odds_difference" in text
        assert "inside the classes" in text
        assert "<table" in audit()._repr_html_()
        assert "intervals" not in audit().to_text()


class Unfitted(Lookup, BaseEstimator):
    def transform(self, X):
        raise NotFittedError("Call 'fit' first.")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"transformer": Unfitted(None)}, "`transformer` must be fitted: Call 'fit'"),
        ({"transformer": Lookup(np.where(H > 2, np.nan, H))}, "must be finite; .* of"),
        ({"transformer": Lookup(1e155 * H)}, "must hold numbers of a size up to 1e"),
        (
            {"transformer": Lookup(H[:, 0])},
            r"transform\(X\)` must have shape .*\(300,\)",
        ),
        ({"transformer": Lookup(H[:, :0])}, r"must have shape .*\(300, 0\)"),
        ({"transformer": Lookup(H.astype(str))}, "must hold numbers"),
        ({"X": np.arange(9)}, "`y` must have one row per sample: expected 9"),
        ({"X_test": np.arange(9)}, "`y_test` must have one row per sample"),
        (
            {"sensitive_features": Z[:9]},
            "`sensitive_features` .* expected 300, found 9",
        ),
        (
            {"sensitive_features_test": Z[:9]},
            "`sensitive_features_test` .* expected 300, found 9",
        ),
        ({"sensitive_features": None}, "`sensitive_features` must have a column"),
        (
            {"sensitive_features_test": Z[["sex"]][:300]},
            r"`sensitive_features_test` must have the columns \['sex', 'race'\]",
        ),
        ({"y": np.zeros(300)}, "`y` must have at least two classes"),
        ({"y": np.zeros((300, 2), int)}, "two classes|one task"),
        ({"y": np.column_stack([Y, Y])[:300]}, "`y` must be the labels of one task"),
        (
            {"y_test": Y[:300] + 1},
            r"`y_test` must hold the classes \[0, 1\]; found \[2\]",
        ),
        (
            {"y": pd.Series(Y[:300]), "sensitive_features": Z[:300].iloc[::-1]},
            "`y` and `sensitive_features` .* another order",
        ),
        (
            {"y_test": pd.Series(Y[:300]), "sensitive_features_test": Z[300:]},
            "`y_test` and `sensitive_features_test` must hold the same rows",
        ),
        ({"heads": {}}, "`heads` must be a dict"),
        ({"heads": LogisticRegression()}, "`heads` must be a dict"),
        ({"heads": {"a": Ridge()}}, "`heads` must hold classifiers.*'a'"),
        ({"heads": {"a": LogisticRegression}}, "`heads` must hold classifiers.*'a'"),
        ({"heads": {"own prediction": DummyClassifier()}}, "must not have the name"),
        ({"attributes": "worst_case"}, "`attributes` must be 'each' or"),
        ({"min_group_size": 0}, "`min_group_size` must be"),
        ({"n_resamples": 1}, "`n_resamples` must be"),
        ({"confidence_level": 95}, "`confidence_level` must be"),
    ],
)
def test_error_names_the_argument(arguments, message):
    with pytest.raises(ValueError, match=message):
        audit(**arguments)


def test_object_without_transform():
    with pytest.raises(ValueError, match=r"`transformer` must have .* got Logistic"):
        audit_representation(
            clone(LogisticRegression()),
            H,
            Y,
            sensitive_features=Z,
            X_test=H,
            y_test=Y,
            sensitive_features_test=Z,
        )


def test_other_number_of_units():
    class Wider(Lookup):
        def transform(self, X):
            return np.tile(super().transform(X), (1, 1 + (X[0] > 0)))

    with pytest.raises(ValueError, match=r"as many units for `X_test` .* got 4 and 2"):
        audit(Wider(H))


class TestDisplay:
    @pytest.fixture(autouse=True)
    def _figures(self):
        import matplotlib.pyplot as plt

        plt.switch_backend("Agg")
        yield
        for number in plt.get_fignums():
            plt.figure(number).canvas.draw()
        plt.close("all")

    def test_draws_the_numbers_of_the_audit(self):
        found = audit(heads={**LINEAR, "none": DummyClassifier()}, n_resamples=50)
        display = RepresentationDisplay(found).plot(metric="group_accuracy_difference")
        left, right = display.axes_[0]
        drawn = [line.get_xdata().item() for line in left.lines]
        assert not left.get_xlabel()  # there is no dotted line without a prediction
        expected = found.differences.xs("group_accuracy_difference", level="metric")
        assert drawn == expected["value"].tolist()
        auc = found.performance["value"].iloc[0]
        assert [label.get_text() for label in left.get_yticklabels()] == [
            *("sex", f"linear (AUC {auc:.3f})", "none (AUC 0.500, one class)"),
            *("race", f"linear (AUC {auc:.3f})", "none (AUC 0.500, one class)"),
        ]
        points = [line.get_xdata() for line in right.lines if line.get_marker() == "o"]
        assert np.ravel(points).tolist() == found.group_auc["value"].tolist()

    def test_from_estimator(self):
        display = RepresentationDisplay.from_estimator(
            LinearDiscriminantAnalysis().fit(H, Y),
            H,
            Y,
            sensitive_features=Z["sex"],
            X_test=H,
            y_test=Y,
            sensitive_features_test=Z["sex"],
            heads=LINEAR,
            n_resamples=50,
        )
        assert len(display.audit.differences) == 8
        left, _ = display.axes_[0]
        (dotted,) = (line for line in left.lines if line.get_linestyle() == ":")
        assert dotted.get_xdata()[0] == display.audit.differences["value"].iloc[0]
        labels = [panel.get_xlabel() for panel in display.axes_[0]]
        assert labels == ["dotted: own prediction", "dotted: cannot be read"]

    @pytest.mark.parametrize("wrong", [None, LogisticRegression(), pd.DataFrame()])
    def test_argument_that_is_no_audit(self, wrong):
        name = type(wrong).__name__
        with pytest.raises(ValueError, match=f"`audit` must be a .*; got {name}"):
            RepresentationDisplay(wrong)

    def test_unknown_metric(self):
        with pytest.raises(ValueError, match="`metric` must be 'equalized_odds_diff"):
            RepresentationDisplay(audit()).plot(metric="roc_auc")
