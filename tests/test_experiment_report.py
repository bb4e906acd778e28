"""Reports of experiments: what is computed from saved predictions, and how it looks."""

import re

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pyarrow.parquet
import pytest
from matplotlib.colors import to_rgba
from sklearn.metrics import roc_auc_score

from fairtask.experiments._cases import DataSource
from fairtask.experiments._evaluation import OVERALL, Rules, evaluate
from fairtask.experiments._fronts import draw_ablation, make_fronts
from fairtask.experiments._report import write_report
from fairtask.experiments._store import Experiment, Run, Store
from fairtask.experiments._tables import make_table

# Group a: TPR 3/4, FPR 1/4; group b: TPR 2/4, FPR 0/4.
Y_TRUE = np.tile([1, 1, 1, 1, 0, 0, 0, 0], 2)
GROUPS = np.repeat(["a", "b"], 8)
Y_PRED = np.array([1, 1, 1, 0, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0])


def predictions(y_pred, score=None):
    test = pd.DataFrame(
        {
            "row": np.arange(16),
            "y_true": Y_TRUE,
            "y_pred": y_pred,
            "score": np.asarray(y_pred if score is None else score, dtype=float),
            "group:z": GROUPS,
            "part": "test",
        }
    )
    # The validation part is perfect, and must not count.
    return pd.concat(
        [
            test.assign(part="validation", y_pred=Y_TRUE, score=Y_TRUE.astype(float)),
            test,
        ]
    )


def save(store, method, y_pred, *, repeat=0, lam=None, score=None, **details):
    known = {
        "kind": "table", "classes": ["no", "yes"], "family": method.title(),
        "fairness_loss": "GLD", "note": "",
        "fit_seconds": 2.0, "versions": {"torch": "2"}, "warnings": [],
    }  # fmt: skip
    run = Run(method, repeat, lam)
    store.save(run, predictions(y_pred, score), known | details)


LEFT_OUT = "test parts a group was too small for a difference and left out of it"


def notes(evaluation):
    """Notes of the table, but for those that all tables have."""
    common = ("Test parts of", "The positive class")
    return [n for n in make_table(evaluation).notes if not n.startswith(common)]


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "results" / "synthetic_z_paper")
    store.open(Experiment(DataSource("synthetic", ("z",)), "paper", {}))
    save(store, "single-task", Y_PRED)
    return store


class TestEvaluation:
    def test_by_hand(self, store):
        score = np.linspace(0, 1, 16)
        save(store, "mine", Y_PRED, score=score)
        figures = evaluate(store, Rules()).figures.loc["mine"].iloc[0]
        assert figures[OVERALL, "ACC"] == 12 / 16
        assert figures[OVERALL, "AUC"] == roc_auc_score(Y_TRUE, score)
        assert figures["z", "EOpD"] == pytest.approx(0.25)
        assert figures["z", "EOD"] == pytest.approx((0.25 + 0.25) / 2)
        assert figures["z", "GACCD"] == pytest.approx(0)
        assert figures["z", "GAUCD"] == pytest.approx(0)

    def test_eod_as_the_mean_or_the_larger_gap(self, store):
        y_pred = Y_PRED.copy()
        y_pred[4] = 0  # no false positives in either group
        save(store, "mine", y_pred)
        mean, worst = (
            evaluate(store, Rules(eod)).figures.loc["mine", ("z", "EOD")].iloc[0]
            for eod in ("mean", "worst_case")
        )
        assert (mean, worst) == (pytest.approx(0.125), pytest.approx(0.25))

    def test_small_groups_are_left_out_and_counted(self, store):
        evaluation = evaluate(store, Rules(min_group_size=5))
        assert np.isnan(evaluation.figures.iloc[0]["z", "EOD"])
        assert notes(evaluation) == [
            "A group with fewer than 5 of the samples that a difference is about "
            "(positives, negatives, or both) is left out of it.",
            "In 1 of 1 test parts a group was too small for a difference and left out "
            "of it: z a, z b.",
        ]
        evaluation = evaluate(store, Rules(min_group_size=4))
        assert evaluation.figures.iloc[0]["z", "EOD"] == pytest.approx(0.25)
        assert len(notes(evaluation)) == 1

    def test_a_third_group_that_is_left_out_is_counted(self, tmp_path):
        store = Store(tmp_path)
        save(store, "single-task", Y_PRED)
        [(run, details, table)] = store.runs()
        table["group:z"] = ["c", *table["group:z"][1:]]  # one, of the validation part
        store.save(run, table, details)
        evaluation = evaluate(store, Rules())
        assert evaluation.figures.iloc[0]["z", "EOpD"] == pytest.approx(0.25)
        assert notes(evaluation) == [f"In 1 of 1 {LEFT_OUT}: z c."]

    def test_a_group_that_only_other_repeats_have_is_counted(self, store):
        save(store, "single-task", Y_PRED, repeat=1)
        [_, (run, details, table)] = store.runs()
        table["group:z"] = table["group:z"].replace("b", "c")
        store.save(run, table, details)
        assert notes(evaluate(store, Rules())) == [f"In 2 of 2 {LEFT_OUT}: z b, z c."]

    def test_unknown_groups_are_counted(self, store):
        [(run, details, table)] = store.runs()
        table.loc[table["row"] == 0, "group:z"] = None  # one in each part
        store.save(run, table, details)
        assert notes(evaluate(store, Rules())) == [
            "6.2 % of the test samples belong to no known group of z, and count for "
            "performance only."
        ]

    def test_what_was_asked_for_and_is_to_come_is_told(self, store):
        store.ask([Run("single-task", 0), Run("mine", 0), Run("mine", 1)])
        store.ask([Run("mine", 0, 0.5)])
        store.save_error(Run("mine", 1), {"error": "no"})
        assert store.pending() == [Run("mine", 0, 0.5), Run("mine", 0)]
        assert notes(evaluate(store, Rules()))[0] == (
            "Not finished: 2 of the runs that were asked for are still to come."
        )

    def test_collapsed_heads_of_the_ablation_are_told(self, store):
        warned = ["CollapsedHeadWarning: the head is constant"]
        save(store, "mine", Y_PRED, lam=0.3, warnings=warned)
        save(store, "mine", Y_PRED, lam=0.6)
        assert notes(evaluate(store, Rules()))[0] == (
            "mine: in the ablation the fairness head collapsed in 1 of 2 runs."
        )

    def test_an_error_that_cannot_be_read_is_named(self, store):
        store.save_error(Run("mine", 0), {"error": "no"})
        path = store.folder / "runs" / "mine" / "own" / "repeat-000.error.json"
        for content in ("", "{}", "[]"):
            path.write_text(content)
            assert notes(evaluate(store, Rules())) == [
                f"No run, or a damaged one: {path}"
            ]

    @pytest.mark.parametrize("content", ["", "{}", "[1]"])
    def test_a_description_that_cannot_be_read_is_named(self, store, content):
        path = store.folder / "experiment.json"
        path.write_text(content)
        with pytest.raises(ValueError, match=f"{path}: expected what `run` wrote"):
            store.experiment()

    def test_collapsed_heads_are_counted(self, store):
        warned = ["CollapsedHeadWarning: the head is constant"]
        save(store, "mine", Y_PRED, warnings=warned)
        save(store, "mine", Y_PRED, repeat=1)
        assert make_table(evaluate(store, Rules())).summary["collapsed"]["mine"] == 1

    def test_an_attribute_may_have_any_name(self, tmp_path):
        store = Store(tmp_path)
        save(store, "single-task", Y_PRED)
        [(run, details, table)] = store.runs()
        table = table.rename(columns={"group:z": "group:overall"})
        store.save(run, table, details)
        table = make_table(evaluate(store, Rules()))
        assert table.to_frame()["overall EOpD mean"].tolist() == [25]

    @pytest.mark.parametrize("content", ["cut", "foreign", "footer", "page"])
    def test_a_file_that_is_no_run_is_named(self, store, content):
        save(store, "mine", Y_PRED)
        path = store.folder / "runs" / "mine" / "own" / "repeat-000.parquet"
        content_of_file = bytearray(path.read_bytes())
        if content == "cut":
            path.write_bytes(content_of_file[:100])
        elif content == "footer":
            size = int.from_bytes(content_of_file[-8:-4], "little")
            content_of_file[-8 - size : 28 - size] = bytes(36)
            path.write_bytes(content_of_file)
        elif content == "page":  # the last byte of a column
            column = pyarrow.parquet.read_metadata(path).row_group(0).column(3)
            start = column.dictionary_page_offset or column.data_page_offset
            content_of_file[start + column.total_compressed_size - 1] ^= 1
            path.write_bytes(content_of_file)
        else:
            pd.DataFrame({"a": [1]}).to_parquet(path)
        table = make_table(evaluate(store, Rules()))
        assert list(table.mean.index) == ["single-task"]
        assert table.notes[2:] == [f"No run, or a damaged one: {path}"]
        assert not store.has_succeeded(Run("mine", 0))  # `run` makes it again

    def test_versions_of_all_runs(self, store):
        save(store, "mine", Y_PRED, versions={"torch": "3", "timm": "1"})
        versions = evaluate(store, Rules()).versions
        assert versions == {"torch": ["2", "3"], "timm": ["1"]}

    def test_no_runs(self, tmp_path):
        with pytest.raises(ValueError, match="no run has succeeded yet"):
            evaluate(Store(tmp_path), Rules())


class TestTable:
    def test_mean_deviation_rank_and_change(self, store):
        save(store, "single-task", Y_TRUE, repeat=1)  # perfect: EOD 0, AUC 1
        save(store, "mine", Y_PRED)
        save(store, "mine", Y_PRED, repeat=1)
        table = make_table(evaluate(store, Rules()))
        frame = table.to_frame()
        assert frame.loc["single-task", "AUC mean"] == 87.5  # of 75 and 100
        assert frame.loc["single-task", "AUC sd"] == pytest.approx(17.6777)
        assert frame.loc["mine", "AUC sd"] == 0
        assert frame.loc["single-task", "z EOD mean"] == 12.5
        # AUC 75 against 87.5; EOD and EOpD twice those of single-task; GAUCD 0 and 0.
        change = 12.5 / 87.5 * 100 + 100 + 100
        assert frame.loc["mine", "delta-m"] == pytest.approx(change, abs=1e-3)
        assert frame.loc["mine", "MR"] == 1
        assert np.isnan(frame.loc["single-task", "MR"])
        assert frame["runs"].tolist() == [2, 2]

    def test_ranks_are_those_of_the_repeats_that_all_have(self, store):
        save(store, "single-task", Y_TRUE, repeat=1)
        save(store, "mine", Y_TRUE, repeat=1)
        table = make_table(evaluate(store, Rules()))
        # On repeat 1 both are perfect; on repeat 0 there is no run of "mine".
        assert table.to_frame().loc["mine", "AUC mean"] == 100
        assert table.to_frame().loc["single-task", "AUC mean"] == 87.5
        assert table.summary.loc["mine", "delta-m"] == 0
        assert "MR and Δm: over 1 of 2 repeats, which all have." in table.notes

    def test_repeats_that_differ_are_noted_although_they_are_as_many(self, store):
        save(store, "single-task", Y_TRUE, repeat=1)
        save(store, "mine", Y_TRUE, repeat=1)
        save(store, "mine", Y_TRUE, repeat=2)
        assert "MR and Δm: over 1 of 3 repeats, which all have." in notes(
            evaluate(store, Rules())
        )

    def test_a_method_that_fails_does_not_decide_for_the_others(self, store):
        save(store, "single-task", Y_PRED, repeat=1)
        for repeat in (0, 1):
            save(store, "mine", Y_TRUE, repeat=repeat)
        save(store, "flaky", Y_TRUE)
        store.save_error(Run("flaky", 1), {"error": "no luck"})
        table = make_table(evaluate(store, Rules()))
        assert table.summary["MR"].to_dict() == {
            "single-task": pytest.approx(np.nan, nan_ok=True),
            "mine": 1,
            "flaky": pytest.approx(np.nan, nan_ok=True),
        }
        assert notes(evaluate(store, Rules())) == [
            "flaky: 1 failed: no luck",
            "flaky: 1 of 2 runs.",
            "No MR and Δm, for want of some of these repeats: flaky.",
        ]
        [fronts] = make_fronts(evaluate(store, Rules()))
        assert fronts.n_repeats == 2
        assert fronts.points["method"].tolist() == ["single-task", "mine"]
        # Nor does single-task learning, without which nothing can be compared.
        store.save_error(Run("single-task", 2), {"error": "no luck"})
        save(store, "mine", Y_TRUE, repeat=2)
        assert make_table(evaluate(store, Rules())).summary["MR"].isna().all()
        assert make_fronts(evaluate(store, Rules())) == []

    def test_what_is_missing_is_noted(self, store):
        save(store, "single-task", Y_PRED, repeat=1)
        save(store, "mine", Y_PRED, note="Mine.")
        store.save_error(Run("mine", 1), {"error": "no\nluck"})
        assert notes(evaluate(store, Rules())) == [
            "mine: Mine.",
            "mine: 1 failed: no luck",  # in one line, as LaTeX's comments are
            "mine: 1 of 2 runs.",
            "No MR and Δm, for want of some of these repeats: mine.",
        ]

    def test_runs_of_the_ablation_are_not_in_it(self, store):
        save(store, "mine", Y_PRED, lam=0.3)
        assert list(make_table(evaluate(store, Rules())).mean.index) == ["single-task"]

    def test_single_task_learning_is_needed(self, tmp_path):
        store = Store(tmp_path)
        save(store, "mine", Y_PRED)
        with pytest.raises(ValueError, match="no run of single-task"):
            make_table(evaluate(store, Rules()))

    def test_what_all_tables_say(self, store):
        for rule, sentence in (
            ("mean", "EOD is the mean of the gaps in true and in false positive rates"),
            ("worst_case", "EOD is the larger of the gaps in true and in false posit"),
        ):
            table = make_table(evaluate(store, Rules(rule)), ["A trial."])
            for text in (table.to_text(), table.to_latex()):
                assert f"Test parts of 1 hold-outs, per cent. {sentence}" in text
                assert "The positive class is yes." in text
                assert "A trial." in text

    def test_latex_escapes_what_it_must(self, store):
        save(store, "a%b#c$d{e}^~", Y_PRED)
        latex = make_table(evaluate(store, Rules())).to_latex()
        expected = r"a\%b\#c\$d\{e\}\textasciicircum{}\textasciitilde{} & "
        assert expected in latex

    def test_latex_and_html_hold_the_same_cells(self, store):
        save(store, "mine_&_yours", Y_PRED)
        table = make_table(evaluate(store, Rules()))
        latex = table.to_latex()
        assert r"mine\_\&\_yours & Mine\_\&\_Yours & GLD & 75.00 & " in latex
        assert latex.count(r"\\") == 4
        cells = {
            line.count(" & ")
            for line in latex.splitlines()[3:4] + latex.splitlines()[5:7]
        }
        assert len(cells) == 1
        assert "mine_&amp;_yours" in table.to_html()


class TestFronts:
    def test_by_hand(self, store):
        # single-task: AUC .75, EOD .25. mine: AUC 1, EOD 0 at lam .2; as it at lam .8.
        save(store, "mine", Y_TRUE, lam=0.2)
        save(store, "mine", Y_PRED, lam=0.8)
        save(store, "mine", Y_PRED)
        [fronts] = make_fronts(evaluate(store, Rules()))
        points = fronts.points.set_index(["method", "lam"])
        assert len(points) == 3
        assert points.loc[("mine", 0.2), "on_front"]
        assert not points.loc[("mine", 0.8), "on_front"]
        # From AUC .70 to 1 and EOD .25 to 0, in units of .05 times .25.
        assert fronts.volumes["mine"] == pytest.approx(0.3 / 0.05)
        assert fronts.volumes["single-task"] == 0

    def test_points_are_means_of_the_same_repeats(self, store):
        save(store, "single-task", Y_TRUE, repeat=1)  # as `run` leaves it: more repeats
        save(store, "mine", Y_PRED, lam=0.2)
        [fronts] = make_fronts(evaluate(store, Rules()))
        assert fronts.n_repeats == 1
        assert fronts.points["performance"].tolist() == [0.75, 0.75]
        # Nor do runs that are not drawn matter.
        save(store, "mine", Y_PRED, repeat=1)
        assert make_fronts(evaluate(store, Rules()))[0].n_repeats == 1
        save(store, "mine", Y_PRED, lam=0.4, repeat=1)
        assert make_fronts(evaluate(store, Rules())) == []

    def test_a_method_has_one_colour_in_both_figures(self, store):
        save(store, "mine", Y_TRUE, lam=0.2)
        save(store, "mine", Y_PRED, lam=0.8)
        [fronts] = make_fronts(evaluate(store, Rules()))
        figures = (fronts.draw(), draw_ablation(fronts))
        legends = [(figure.axes[0], figure.axes[-1]) for figure in figures]
        colours = []
        for axes in legends:
            handles, labels = axes[-1].get_legend_handles_labels()
            handle = handles[labels.index("mine")]
            line = handle[0] if isinstance(handle, tuple) else handle
            colours.append(to_rgba(line.get_color()))
        plt.close("all")
        assert colours[0] == colours[1]

    def test_without_an_ablation_each_method_is_a_point(self, store):
        save(store, "mine", Y_PRED)
        [fronts] = make_fronts(evaluate(store, Rules()))
        assert fronts.points["method"].tolist() == ["single-task", "mine"]
        assert not fronts.is_varied

    def test_without_a_difference_there_is_nothing_to_cover(self, tmp_path):
        store = Store(tmp_path)
        save(store, "single-task", Y_TRUE)
        save(store, "mine", Y_PRED)
        [fronts] = make_fronts(evaluate(store, Rules()))
        assert fronts.volumes.isna().all()


class TestReport:
    def test_what_is_written(self, store, tmp_path, capsys):
        save(store, "mine", Y_TRUE, lam=0.2)
        save(store, "mine", Y_PRED, lam=0.8)
        store.save_error(Run("other", 0), {"error": "ValueError: <never>"})
        page = write_report(tmp_path / "results", tmp_path / "out")
        assert plt.get_fignums() == []
        assert {path.name for path in page.parent.iterdir()} == {
            "index.html",
            *(f"synthetic_z_paper{end}" for end in (".csv", ".tex", ".txt")),
            *(f"synthetic_z_paper_{end}.csv" for end in ("fronts", "runs", "times")),
            *(f"synthetic_z_paper_z_{end}.svg" for end in ("front", "ablation")),
        }
        text = page.read_text(encoding="utf-8")
        assert text.count("<svg") == 2  # the front, and the ablation
        assert "other: 1 failed: ValueError: &lt;never&gt;" in text
        assert "mine: with the lams of the ablation only." in text
        # Nothing is loaded from elsewhere.
        assert not re.findall(
            r"""(?:src|href)=["'](?!#)|url\((?!["']?#)|@import""", text
        )
        assert "single-task" in capsys.readouterr().out
        csv = pd.read_csv(page.parent / "synthetic_z_paper.csv", index_col="method")
        assert csv.loc["single-task", "z EOpD mean"] == 25

    def test_an_experiment_without_runs_does_not_hide_the_others(
        self, store, tmp_path, capsys
    ):
        empty = Store(tmp_path / "results" / "adult_race_paper")
        empty.open(Experiment(DataSource("adult", ("race",)), "paper", {}))
        write_report(tmp_path / "results", tmp_path / "out")
        assert "adult_race_paper: left out" in capsys.readouterr().out

    def test_without_a_repeat_in_common_there_are_no_figures(self, store, tmp_path):
        save(store, "mine", Y_PRED, repeat=1)
        page = write_report(tmp_path / "results", tmp_path / "out")
        assert "no repeat has all methods" in page.read_text(encoding="utf-8")
        csv = pd.read_csv(tmp_path / "out" / "synthetic_z_paper.csv")
        assert csv["MR"].isna().all()
        assert csv["AUC mean"].tolist() == [75, 75]

    def test_one_experiment_alone(self, store, tmp_path):
        page = write_report(store.folder, tmp_path / "out")
        assert page.exists()

    def test_twice_the_same_bytes(self, store, tmp_path):
        save(store, "mine", Y_PRED, lam=0.2)
        pages = [write_report(tmp_path / "results", tmp_path / name) for name in "ab"]
        assert pages[0].read_bytes() == pages[1].read_bytes()

    def test_names_that_mean_something_to_a_figure_or_a_file(self, tmp_path):
        store = Store(tmp_path / "results" / "synthetic_z_paper")
        store.open(Experiment(DataSource("synthetic", ("a b", "a-b")), "paper", {}))
        for method in ("single-task", "$10^$2"):
            save(store, method, Y_PRED)
        for run, details, table in list(store.runs()):
            groups = table.pop("group:z")
            names = ("a b", "a-b", "pay $a^$b")
            store.save(
                run, table.assign(**{f"group:{n}": groups for n in names}), details
            )
        page = write_report(tmp_path / "results", tmp_path / "out")
        assert "EOD, pay $a^$b" in page.read_text(encoding="utf-8")
        assert {path.name for path in page.parent.glob("*.svg")} == {
            f"synthetic_z_paper_{name}_front.svg"
            for name in ("a-b-1", "a-b-2", "pay-a-b")
        }

    def test_a_rule_that_leaves_no_group_leaves_no_difference(self, store, tmp_path):
        save(store, "mine", Y_PRED)
        write_report(tmp_path / "results", tmp_path / "out", min_group_size=9)
        csv = pd.read_csv(tmp_path / "out" / "synthetic_z_paper.csv")
        assert csv["z EOD mean"].isna().all()

    def test_min_group_size_is_checked(self, tmp_path):
        with pytest.raises(ValueError, match="`min_group_size` must be at least 1"):
            write_report(tmp_path, tmp_path, min_group_size=0)
