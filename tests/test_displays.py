"""Figures: the numbers they hold, what is drawn of them, and many groups."""

from functools import cache
from itertools import combinations

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.dummy import DummyClassifier
from sklearn.exceptions import NotFittedError, UndefinedMetricWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, roc_auc_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from fairtask.metrics import (
    bootstrap,
    equalized_odds_difference,
    fairness_report,
    group_auc_difference,
    make_fairness_scoring,
)
from fairtask.model_selection import (
    GroupLossDisplay,
    GroupRatesDisplay,
    LatentDisplay,
    ParetoFrontDisplay,
    ReportComparisonDisplay,
    RepresentationDisplay,
    least_disparity,
)
from fairtask.model_selection._displays._shared import literal
from tests._inputs import NOT_LEARNT, make_classifier, make_samples

X, y, z = make_samples(300)
MANY = pd.DataFrame(
    {"sex": np.where(z, "m", "f"), "region": [f"r{i % 30}" for i in range(300)]}
)
PRED = {"good": (X[:, 0] + X[:, 1] > 0.5).astype(int), "all": np.ones(300, int)}
SCORE = {"good": X[:, 0] + X[:, 1], "all": np.zeros(300)}
FOUR = y + 2 * (X[:, 2] > 1)  # labels of four classes
NAMES = {"performance": "roc_auc", "disparity": "equalized_odds_difference"}


@pytest.fixture(autouse=True)
def _figures():
    """Draw without a screen, and close what was drawn."""
    import matplotlib.pyplot as plt

    plt.switch_backend("Agg")
    yield
    for number in plt.get_fignums():
        # What cannot be laid out or encoded would show here.
        plt.figure(number).canvas.draw()
    plt.close("all")


@pytest.fixture(scope="module")
def classifier():
    return make_classifier(max_epochs=3).fit(
        X,
        y,
        sensitive_features=MANY,
        X_val=X[:100],
        y_val=y[:100],
        sensitive_features_val=MANY[:100],
    )


def texts(legend):
    return [text.get_text() for text in legend.get_texts()]


def pareto(y_true, y_pred, y_score=None, **kwargs):
    kwargs = {"sensitive_features": z, "n_resamples": 0, "random_state": 0, **kwargs}
    return ParetoFrontDisplay.from_predictions(y_true, y_pred, y_score, **kwargs)


def pareto_of_models(models, X=X, y=y, **kwargs):
    kwargs = {"sensitive_features": z, "n_resamples": 0, "random_state": 0, **kwargs}
    return ParetoFrontDisplay.from_estimators(models, X, y, **kwargs)


@cache
def search(cv=3):
    """``cv_results_`` of four candidates."""
    search = GridSearchCV(
        LogisticRegression(),
        {"C": [0.01, 1.0], "fit_intercept": [True, False]},
        scoring=make_fairness_scoring(NAMES.values(), sensitive_features=pd.Series(z)),
        refit=False,
        cv=cv,
    )
    return search.fit(pd.DataFrame(X), y).cv_results_


def pareto_of_rows(rows):
    """Display of (label, performance, disparity) of one method, without error bars."""
    points = pd.DataFrame(rows, columns=["label", "performance", "disparity"])
    for name in ("performance", "disparity"):
        points[f"{name}_low"] = points[f"{name}_high"] = np.nan
    return ParetoFrontDisplay(
        points.assign(method="m"), performance_name="accuracy", disparity_name="x"
    ).plot()


def crosses(display):
    """Disparity and performance of the models marked as constant."""
    lines = {line.get_label(): line for line in display.ax_.get_lines()}
    line = lines.get("constant predictions")
    return [] if line is None else list(map(tuple, line.get_xydata()))


class TestParetoFrontDisplay:
    @pytest.mark.parametrize(
        "disparity", ["equalized_odds_difference", equalized_odds_difference]
    )
    def test_points_are_the_metrics(self, disparity):
        display = pareto(y, PRED, n_resamples=100, disparity=disparity)
        points = display.points.set_index("label")
        good = points.loc["good"]
        result = bootstrap(
            equalized_odds_difference,
            y,
            PRED["good"],
            sensitive_features=z,
            n_resamples=100,
            random_state=0,
        )
        columns = ["disparity", "disparity_low", "disparity_high"]
        assert good[columns].tolist() == [result.value, result.low, result.high]
        assert good["performance"] == accuracy_score(y, PRED["good"])
        assert good["performance_low"] < good["performance"] < good["performance_high"]
        assert points.loc["all", "disparity"] == 0
        assert display.on_front.all()

    def test_ratio_is_drawn_by_what_it_lacks_of_one(self):
        name = "accuracy_ratio"
        for n_resamples in (0, 50):
            display = pareto(y, PRED, disparity=name, n_resamples=n_resamples)
            good = display.points.set_index("label").loc["good"]
            result = bootstrap(
                name,
                y,
                PRED["good"],
                sensitive_features=z,
                n_resamples=50,
                random_state=0,
            )
            assert good["disparity"] == pytest.approx(1 - result.value)
            label = display.ax_.get_xlabel()
            assert label == "1 - accuracy ratio (lower is better)"
        limits = good[["disparity_low", "disparity_high"]].tolist()
        assert limits == pytest.approx([1 - result.high, 1 - result.low])

    def test_scores(self):
        display = pareto(
            y, PRED, SCORE, disparity="group_auc_difference", n_resamples=50
        )
        good = display.points.iloc[0]
        assert good["performance"] == pytest.approx(roc_auc_score(y, SCORE["good"]))
        assert good["disparity"] == pytest.approx(
            group_auc_difference(y, SCORE["good"], sensitive_features=z)
        )
        assert good["performance_low"] < good["performance"] < good["performance_high"]
        assert display.ax_.get_ylabel() == "AUC (higher is better)"

    def test_estimators_of_several_methods(self):
        models = {
            "logistic": {
                f"C={c}": LogisticRegression(C=c).fit(X, y) for c in (0.001, 1.0)
            },
            "dummy": {"prior": DummyClassifier().fit(X, y)},
        }
        display = pareto_of_models(models, budget=0.05)
        assert display.points["method"].tolist() == ["logistic", "logistic", "dummy"]
        model = models["logistic"]["C=1.0"]
        expected = roc_auc_score(y, model.predict_proba(X)[:, 1])
        assert display.points["performance"][1] == pytest.approx(expected)
        assert display.points["disparity_low"].isna().all()
        legend = texts(display.ax_.get_legend())
        crossed = "constant predictions"
        assert legend == ["logistic", "dummy", crossed, "budget 0.05"]

    def test_several_classes(self):
        model = LogisticRegression().fit(X, FOUR)
        display = pareto_of_models({"a": model}, y=FOUR, n_resamples=20)
        point = display.points.iloc[0]
        macro = roc_auc_score(
            FOUR, model.predict_proba(X), multi_class="ovr", average="macro"
        )
        assert point["performance"] == pytest.approx(macro)
        assert point["performance_low"] < macro < point["performance_high"]

    @pytest.mark.parametrize("model", [LogisticRegression(), LinearSVC()])
    def test_positive_class(self, model):
        model.fit(X, y)
        auc = pareto_of_models({"a": model}, pos_label=0).points["performance"].item()
        assert auc == pytest.approx(roc_auc_score(y == 0, -model.decision_function(X)))

    def test_test_part_that_lacks_a_class(self):
        model = LogisticRegression().fit(X, FOUR)
        rows = FOUR < 3
        part = {"X": X[rows], "y": FOUR[rows], "sensitive_features": z[rows]}
        with pytest.warns(UndefinedMetricWarning, match="for class 3"):
            rates = GroupRatesDisplay.from_estimator(model, **part, rates=["accuracy"])
        assert rates.axes_.shape == (4, 1)
        with pytest.warns(UndefinedMetricWarning, match="for class 3"):
            display = pareto_of_models({"a": model}, **part, n_resamples=20)
        proba = model.predict_proba(X[rows])
        areas = [roc_auc_score(FOUR[rows] == c, proba[:, c]) for c in range(3)]
        point = display.points.iloc[0]
        assert point["performance"] == pytest.approx(np.mean(areas))
        assert point["performance_low"] < point["performance"]

    def test_accuracy_is_that_of_all_classes(self):
        accuracy = pareto(FOUR, {"a": y}, pos_label=3).points["performance"].item()
        assert accuracy == pytest.approx((y == FOUR).mean())

    def test_cv_results(self):
        results = search()
        display = ParetoFrontDisplay.from_cv_results(
            results, method="fit_intercept", **NAMES
        )
        points = display.points
        assert points["method"].tolist() == ["True", "False"] * 2
        assert points["label"].tolist() == ["C=0.01", "C=0.01", "C=1", "C=1"]
        eod = -results["mean_test_equalized_odds_difference"]
        assert points["disparity"].tolist() == pytest.approx(eod.tolist())
        # Of three folds: the population's standard deviation / sqrt(2).
        error = results["std_test_roc_auc"] / np.sqrt(2)
        width = points["performance_high"] - points["performance_low"]
        assert width.tolist() == pytest.approx((2 * error).tolist())

    def test_cv_results_of_several_searches(self):
        searches = {"a": search(), "b": search(cv=2)}
        display = ParetoFrontDisplay.from_cv_results(searches, **NAMES)
        assert display.points["method"].tolist() == ["a"] * 4 + ["b"] * 4
        assert display.points["label"][0] == "C=0.01, fit_intercept=True"

    def test_cv_results_of_a_list_of_grids(self):
        params = [{"C": 1.0}, {"C": 1.0, "tol": 0.1}, {"tol": 0.2}, {"tol": 0.1}]
        display = ParetoFrontDisplay.from_cv_results(
            {**search(), "params": params}, method="tol", **NAMES
        )
        assert display.points["method"].tolist() == ["None", "0.1", "0.2", "0.1"]
        assert display.points["label"].tolist() == ["C=1", "C=1", "", ""]

    def test_fronts_are_drawn_in_order_and_beaten_points_hollow(self):
        display = pareto_of_rows(
            [("a", 0.8, 0.1), ("b", 0.9, 0.3), ("c", 0.85, 0.2), ("d", 0.7, 0.2)]
        )
        assert display.on_front.tolist() == [True, True, True, False]
        front, beaten = display.ax_.get_lines()[-2:]
        assert front.get_xdata().tolist() == [0.1, 0.2, 0.3]
        assert beaten.get_xdata().tolist() == [0.2]
        assert beaten.get_markerfacecolor() == "white"
        assert [t.get_text() for t in display.ax_.texts] == ["a", "c", "b"]

    def test_constant_predictions_are_crossed(self):
        display = pareto(y, PRED)
        assert display.points["constant"].tolist() == [False, True]
        assert crosses(display) == [(0, accuracy_score(y, PRED["all"]))]

    def test_candidates_that_are_constant_in_a_fold_are_crossed(self):
        results = dict(search())
        assert not crosses(ParetoFrontDisplay.from_cv_results(results, **NAMES))
        results["split1_test_constant_predictions"] = [0, 0, -1, 0]
        display = ParetoFrontDisplay.from_cv_results(results, **NAMES)
        assert display.points["constant"].tolist() == [False, False, True, False]
        point = display.points.loc[2]
        assert crosses(display) == [(point["disparity"], point["performance"])]
        marks = {name for name in results if "constant_predictions" in name}
        unmarked = {name: results[name] for name in results.keys() - marks}
        assert not crosses(ParetoFrontDisplay.from_cv_results(unmarked, **NAMES))

    def test_of_many_points_on_a_front_some_are_labelled(self):
        display = pareto_of_rows([(f"l{i}", 0.5 + i / 100, i / 100) for i in range(40)])
        labels = [text.get_text() for text in display.ax_.texts]
        assert len(labels) == 8
        assert {"l0", "l39"} <= set(labels)

    def test_labels_neither_overlap_nor_leave_the_axes(self):
        # Points so close that half of the labels have no room.
        rows = [(f"C={i}, intercept", 0.5 + i / 1e3, i / 1e3) for i in range(8)]
        display = pareto_of_rows([*rows, ("far", 0.9, 0.9), ("low", 0.1, 0.8)])
        display.figure_.canvas.draw()
        boxes = [text.get_window_extent() for text in display.ax_.texts]
        assert 2 <= len(boxes) < 9
        assert not any(a.overlaps(b) for a, b in combinations(boxes, 2))
        axes = display.ax_.get_window_extent()
        assert all(axes.count_contains(box.corners()) == 4 for box in boxes)

    def test_chosen_and_dominated_candidates_are_named(self):
        results = search()
        display = ParetoFrontDisplay.from_cv_results(results, chosen=3, **NAMES)
        assert not display.on_front.all()
        named = texts(display.ax_.get_legend())
        chosen = "chosen: C=1, fit_intercept=False"
        assert named == ["candidates", "dominated", chosen]
        display = pareto_of_rows([("a", 0.8, 0.1), ("b", 0.9, 0.3)])
        assert texts(display.ax_.get_legend()) == ["m"]

    def test_of_a_fitted_search_the_chosen_candidate_is_marked(self):
        fitted = GridSearchCV(
            make_pipeline(StandardScaler(), LogisticRegression()),
            {"logisticregression__C": [0.01, 1.0]},
            scoring=make_fairness_scoring(
                NAMES.values(), sensitive_features=pd.Series(z)
            ),
            refit=least_disparity(**NAMES, tolerance=1),
            cv=2,
        ).fit(pd.DataFrame(X), y)
        display = ParetoFrontDisplay.from_cv_results(fitted, **NAMES)
        assert display.points["chosen"].tolist() == [
            i == fitted.best_index_ for i in range(2)
        ]
        both = ParetoFrontDisplay.from_cv_results({"a": fitted, "b": search()}, **NAMES)
        assert len(both.points) == 6
        models = {"search": fitted, "pipeline": fitted.best_estimator_}
        points = pareto_of_models(models, X=pd.DataFrame(X)).points
        assert points["performance"][0] == points["performance"][1]

    def test_search_without_a_refitted_model(self):
        fitted = GridSearchCV(LogisticRegression(), {"C": [1.0]}, refit=False, cv=2)
        with pytest.raises(ValueError, match="a search must have refitted one"):
            pareto_of_models({"search": fitted.fit(X, y)})

    def test_many_methods_differ_in_grey(self):
        pred = {f"m{i}": {"x": np.arange(300) % (i + 2) == 0} for i in range(12)}
        fronts = pareto(y == 1, pred).ax_.get_lines()[::2]
        looks = {(line.get_marker(), str(line.get_linestyle())) for line in fronts}
        assert len(looks) == 12
        # Luminance rises from one to the next.
        shades = [mpl.colors.to_rgb(line.get_color()) for line in fronts]
        grey = np.array(shades) @ [0.299, 0.587, 0.114]
        assert (np.diff(grey) > 0.01).all()

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"y_pred": [0, 1]}, "`y_pred` must be a dict .* got list"),
            ({"y_pred": {}}, "`y_pred` must be a dict"),
            ({"y_pred": {"a": y, "b": {"c": y}}}, "dicts for all methods or for none"),
            ({"y_score": {"b": y}}, "`y_score` must have the labels .* 'a'"),
            ({"performance": "f1"}, "`performance` must be"),
            ({"performance": "roc_auc"}, "`y_score` must be given for 'roc_auc'"),
            ({"disparity": "group_auc_difference"}, "`y_score` must be given for 'gr"),
            ({"disparity": "eod"}, "`disparity` must be one of"),
            ({"attributes": "each"}, "`attributes` must give one number"),
            ({"n_resamples": 1}, "`n_resamples` must be"),
        ],
    )
    def test_error_names_the_argument(self, arguments, message):
        with pytest.raises(ValueError, match=message):
            pareto(y, **{"y_pred": {"a": y}, "n_resamples": 200, **arguments})

    def test_error_of_cv_results(self):
        for wrong in ({"a": {"b": 1}}, [{}], {}):
            with pytest.raises(ValueError, match="`cv_results` must be"):
                ParetoFrontDisplay.from_cv_results(wrong, **NAMES)
        for wrong in (True, -1, 4, "a"):
            with pytest.raises(ValueError, match="`chosen` must be the position"):
                ParetoFrontDisplay.from_cv_results(search(), chosen=wrong, **NAMES)
        with pytest.raises(ValueError, match="`budget` must be a number"):
            ParetoFrontDisplay.from_cv_results(search(), budget="a", **NAMES)
        with pytest.raises(ValueError, match=r"`method` .* \['C', 'fit_intercept'\]"):
            ParetoFrontDisplay.from_cv_results(search(), method="lam", **NAMES)


class TestLiteralNames:
    ODD = ("$0k to $50k", "$$", "_x", r"a\$b", "$x")

    @pytest.mark.parametrize("name", ODD)
    def test_are_drawn_as_they_are(self, name):
        text = mpl.text.Text(text=literal(name))
        drawn, is_math = text._preprocess_math(text.get_text())
        assert drawn.lstrip("\N{ZERO WIDTH SPACE}") == name
        assert not is_math

    def test_in_every_figure(self, classifier):
        groups = pd.Series(np.where(z, "$0k to $50k", "_x"), name="$$")
        shown = [literal("$0k to $50k"), literal("_x")]
        models = {"_x": {"$$": classifier}, "$0k to $50k": {"_x": classifier}}
        legend = pareto_of_models(models).ax_.get_legend()
        assert texts(legend) == shown[::-1]
        names = row_labels(rates_of(y, PRED["good"], sensitive_features=groups))
        assert [name.split("  (")[0] for name in names] == shown
        latent = LatentDisplay.from_estimator(
            classifier, X, np.where(y, "$1", "$2 $"), sensitive_features=groups
        )
        legend = latent.axes_[0, -1].get_legend()
        assert sorted(texts(legend)) == sorted(shown)
        assert legend.get_title().get_text() == literal("$$")
        assert latent.axes_[0, 1].get_title() == f"class {literal('$2 $')}"

    def test_curves_of_a_pipeline_and_a_search(self, classifier):
        pipeline = make_pipeline(StandardScaler(), classifier)  # as if fitted
        fitted = GridSearchCV(pipeline, {})
        fitted.best_estimator_ = pipeline
        for estimator in (pipeline, fitted):
            display = GroupLossDisplay.from_estimator(estimator)
            assert display.losses.equals(
                GroupLossDisplay.from_estimator(classifier).losses
            )


def rates_of(y_true, y_pred, **kwargs):
    return GroupRatesDisplay.from_predictions(
        y_true, y_pred, **{"sensitive_features": z, **kwargs}
    )


def row_labels(display):
    return [label.get_text() for label in display.axes_[0, 0].get_yticklabels()]


class TestGroupRatesDisplay:
    def test_draws_the_report(self, classifier):
        display = GroupRatesDisplay.from_estimator(
            classifier, X, y, sensitive_features=MANY["sex"]
        )
        report = fairness_report(
            y, classifier.predict(X), sensitive_features=MANY["sex"], n_resamples=0
        )
        for ax, rate in zip(
            display.axes_[0],
            ["selection_rate", "true_positive_rate", "false_positive_rate"],
            strict=True,
        ):
            dots, line = ax.get_lines()
            assert dots.get_xdata().tolist() == report[rate].tolist()
            assert line.get_xdata()[0] == report.overall[rate].item()
            ends = ax.collections[0].get_segments()
            assert [s[0][0] for s in ends] == pytest.approx(report.low[rate].tolist())
            assert [s[1][0] for s in ends] == pytest.approx(report.high[rate].tolist())
        n = [int((MANY["sex"] == group).sum()) for group in "fm"]
        assert row_labels(display) == [f"f  (n={n[0]})", f"m  (n={n[1]})"]

    def test_many_groups_and_several_attributes(self, classifier):
        display = GroupRatesDisplay.from_estimator(
            classifier,
            X,
            y,
            sensitive_features=MANY,
            rates=["accuracy", "roc_auc"],
            metrics=["accuracy_group_min", "roc_auc_group_min"],
        )
        assert len(set(display.axes_[0, 0].get_yticks())) == 32
        assert row_labels(display)[0].startswith("sex: f")
        assert row_labels(display)[2].startswith("region: r0")

    def test_positive_class(self):
        model = LogisticRegression().fit(X, y)
        display = GroupRatesDisplay.from_estimator(
            model, X, y, sensitive_features=z, rates=["roc_auc"], pos_label=0
        )
        for group, auc in display.report["roc_auc"].droplevel("attribute").items():
            rows = z == group
            score = -model.decision_function(X[rows])
            assert auc == pytest.approx(roc_auc_score(y[rows] == 0, score))

    def test_a_row_of_panels_per_class(self):
        display = rates_of(FOUR, FOUR, rates=["true_positive_rate"])
        assert display.axes_.shape == (4, 1)
        assert display.axes_[2, 0].get_title() == "true positive rate, class 2"

    @pytest.mark.parametrize(
        ("groups", "arguments", "label"),
        [
            (np.where(z, "a" * 100, "b"), {}, "a" * 29 + "…  (n="),
            (
                pd.DataFrame({"sex": MANY["sex"], "coin": np.arange(300) % 2}),
                {"attributes": "intersection"},
                "f & 0",
            ),
        ],
    )
    def test_names_are_readable(self, groups, arguments, label):
        display = rates_of(y, y, sensitive_features=groups, **arguments)
        assert row_labels(display)[0].startswith(label)

    @pytest.mark.parametrize("rates", [["tpr"], "accuracy", [], ["roc_auc"]])
    def test_error_names_the_rates(self, rates):
        with pytest.raises(ValueError, match="`rates` must name some of"):
            rates_of(y, y, rates=rates)

    @pytest.mark.filterwarnings("ignore:Not all groups could be compared")
    def test_error_says_that_there_is_no_group(self):
        with pytest.raises(ValueError, match=r"`report` must have a group; all `sens"):
            rates_of(y, y, sensitive_features=[None] * 300)


class TestGroupLossDisplay:
    @pytest.mark.parametrize("part", ["train", "valid"])
    def test_draws_the_history(self, classifier, part):
        display = GroupLossDisplay.from_estimator(classifier, part=part)
        history = classifier.group_history_[part]
        assert display.axes_.shape == (2, 2)
        lines = display.axes_[0, 1].get_lines()
        for line, group in zip(lines, "fm", strict=True):
            assert line.get_label() == group
            expected = history["sex", 1, group].to_numpy()
            assert np.array_equal(line.get_ydata(), expected)
            assert line.get_xdata().tolist() == [1, 2, 3]

    def test_of_many_groups_the_most_different_are_named(self, classifier):
        display = GroupLossDisplay.from_estimator(classifier)
        for ax in display.axes_[1]:
            assert len(ax.get_lines()) == 30
        legend = display.axes_[1, 1].get_legend()
        assert legend.get_title().get_text() == "region"
        named = texts(legend)
        assert len(named) == 8
        last = classifier.group_history_["train"]["region"].iloc[-1].unstack(0)
        distance = (last - last.median()).abs().max(axis=1)
        assert set(named) == set(distance.nlargest(8).index)
        # A group looks the same in both panels.
        looks = [
            {
                line.get_label(): (line.get_color(), line.get_marker())
                for line in ax.get_lines()
                if line.get_label() in named
            }
            for ax in display.axes_[1]
        ]
        assert looks[0] == looks[1]

    def test_single_task_learning_has_group_losses_too(self):
        single = make_classifier(lam=1, max_epochs=2)
        single.fit(X, y, sensitive_features=MANY["sex"])
        assert GroupLossDisplay.from_estimator(single).axes_.shape == (1, 2)

    @pytest.mark.filterwarnings(NOT_LEARNT)
    def test_several_tasks(self):
        tasks = pd.DataFrame({"income": y, "third": np.arange(300) % 3})
        model = make_classifier(max_epochs=1)
        model.fit(X, tasks, sensitive_features=MANY["sex"])
        display = GroupLossDisplay.from_estimator(model, task="third")
        assert display.axes_.shape == (1, 3)
        with pytest.raises(ValueError, match=r"`task` .* \['income', 'third'\]; got"):
            GroupLossDisplay.from_estimator(model)

    @pytest.mark.parametrize(
        ("groups", "arguments", "message"),
        [
            (None, {}, "`part='train'` was not recorded"),
            (z, {"part": "valid"}, "and validation data"),
            (z, {"part": "test"}, "`part` must be"),
            (z, {"task": "income"}, "`task` must be None"),
        ],
    )
    def test_error_says_why_nothing_was_recorded(self, groups, arguments, message):
        model = make_classifier(lam=1, max_epochs=1)
        model.fit(X, y, sensitive_features=groups)
        with pytest.raises(ValueError, match=message):
            GroupLossDisplay.from_estimator(model, **arguments)

    def test_error_names_the_estimator(self):
        with pytest.raises(ValueError, match=r"`estimator` must be .* LogisticRegress"):
            GroupLossDisplay.from_estimator(LogisticRegression().fit(X, y))


def latent(estimator, **kwargs):
    kwargs = {"X": X, "y": y, "sensitive_features": z, **kwargs}
    return LatentDisplay.from_estimator(estimator, **kwargs)


class TestLatentDisplay:
    @pytest.mark.slow
    @pytest.mark.parametrize("method", ["pca", "tsne"])
    def test_every_sample_is_drawn_once_per_attribute(self, classifier, method):
        display = latent(classifier, sensitive_features=MANY, method=method)
        assert display.coordinates.shape == (300, 2)
        for row in display.axes_:
            drawn = [ax.collections for ax in row]
            count = sum(len(c.get_offsets()) for part in drawn for c in part)
            assert count == 300
            in_class_1 = np.concatenate([c.get_offsets() for c in drawn[1]])
            expected = display.coordinates[display.classes == 1]
            assert np.array_equal(
                np.sort(in_class_1, axis=0), np.sort(expected, axis=0)
            )
        assert set(texts(display.axes_[0, 1].get_legend())) == {"f", "m"}
        regions = texts(display.axes_[1, 1].get_legend())
        assert len(regions) == 8
        assert regions[0] == "others and unknown"

    def test_unknown_groups_are_drawn_in_grey(self, classifier):
        groups = MANY["sex"].where(np.arange(300) > 50)
        display = latent(classifier, sensitive_features=groups)
        assert "others and unknown" in texts(display.axes_[0, 1].get_legend())

    def test_draws_some_of_many_samples(self, classifier):
        first, again, other = (
            latent(classifier, max_samples=40, random_state=seed) for seed in (0, 0, 1)
        )
        assert first.coordinates.shape == (40, 2)
        assert np.array_equal(first.coordinates, again.coordinates)
        assert not np.array_equal(first.coordinates, other.coordinates)

    def test_seeded_and_drawn_before_they_are_transformed(self):
        class Wide(TransformerMixin, BaseEstimator):
            def fit(self, X, y=None):
                self.detached_ = True
                return self

            def transform(self, X):
                assert len(X) == 100
                return np.random.default_rng(0).normal(size=(len(X), 600))

        first, again = (latent(Wide().fit(X), max_samples=100) for _ in range(2))
        assert np.array_equal(first.coordinates, again.coordinates)

    @pytest.mark.filterwarnings(NOT_LEARNT)
    def test_representation_of_one_dimension(self):
        model = make_classifier(hidden_layer_sizes=(1,), max_epochs=1)
        model.fit(X, y, sensitive_features=z)
        assert latent(model).coordinates.shape == (300, 2)

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"method": "umap"}, "`method` must be 'pca' or 'tsne'"),
            ({"max_samples": 1}, "`max_samples` must be .* got 1"),
            ({"y": np.column_stack([y, y])}, "`y` must be the labels of one task"),
            ({"sensitive_features": z[:-1]}, "`sensitive_features`.* expected 300"),
        ],
    )
    def test_error_names_the_argument(self, classifier, arguments, message):
        with pytest.raises(ValueError, match=message):
            latent(classifier, **arguments)

    def test_estimator_must_be_fitted(self):
        with pytest.raises(NotFittedError):
            latent(make_classifier())


@pytest.mark.parametrize(
    ("display", "message"),
    [
        (GroupRatesDisplay, "`report` must be a FairnessReport, which `fair"),
        (RepresentationDisplay, "`audit` must be a RepresentationAudit, which `audit_"),
        (ReportComparisonDisplay, "`comparison` must be a ReportComparison, which"),
    ],
)
def test_other_objects_are_refused(display, message):
    table = pd.DataFrame({"n": [1]})
    with pytest.raises(ValueError, match=f"{message}.*; got DataFrame"):
        display(table)


def test_axes_of_the_user(classifier):
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 3)
    display = rates_of(y, y, ax=axes)
    assert display.figure_ is figure
    assert display.axes_[0].tolist() == axes.tolist()
    assert pareto(y, {"a": y}, ax=axes[1]).ax_ is axes[1]
    with pytest.raises(ValueError, match=r"`ax` must be None or 4 axes, .*; got 3"):
        GroupLossDisplay.from_estimator(classifier, ax=axes)
