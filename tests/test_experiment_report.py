"""Reports of experiments: figures from saved predictions, tables and pages."""

import re

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pyarrow.parquet
import pytest
from sklearn.metrics import roc_auc_score

from fairtask.experiments._cases import DataSource
from fairtask.experiments._drawings import GAP, _apart, draw_ablation, draw_front
from fairtask.experiments._evaluation import OVERALL, Rules, evaluate
from fairtask.experiments._fronts import make_fronts
from fairtask.experiments._report import write_report
from fairtask.experiments._store import Experiment, Run, Store
from fairtask.experiments._tables import make_table

# Group a: TPR 3/4, FPR 1/4; group b: TPR 2/4, FPR 0/4.
Y_TRUE = np.tile([1, 1, 1, 1, 0, 0, 0, 0], 2)
GROUPS = np.repeat(["a", "b"], 8)
Y_PRED = np.array([1, 1, 1, 0, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0])

COLLAPSED = ["CollapsedHeadWarning: the head is constant"]
LEFT_OUT = "test parts a group was too small for a difference and left out of it"
NAN = pytest.approx(np.nan, nan_ok=True)


def save(store, method, y_pred, *, repeat=0, lam=None, score=None, **details):
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
    perfect = {"y_pred": Y_TRUE, "score": Y_TRUE.astype(float)}
    known = {
        "kind": "table", "classes": ["no", "yes"], "family": method.title(),
        "fairness_loss": "GLD", "note": "",
        "fit_seconds": 2.0, "versions": {"torch": "2"}, "warnings": [],
    }  # fmt: skip
    table = pd.concat([test.assign(part="validation", **perfect), test])
    store.save(Run(method, repeat, lam), table, known | details)


def change(store, change_table, which=-1):
    """Change the predictions of a run."""
    run, details, table = list(store.runs())[which]
    store.save(run, change_table(table), details)


def figures_of(store, *rules):
    return evaluate(store, Rules(*rules)).figures


def table_of(store):
    return make_table(evaluate(store, Rules()))


def fronts_of(store):
    return make_fronts(evaluate(store, Rules()))


def notes_of(store, *rules):
    """Notes of the table, but for those that all tables have."""
    common = ("Test parts of", "The positive class")
    notes = make_table(evaluate(store, Rules(*rules))).notes
    return [note for note in notes if not note.startswith(common)]


@pytest.fixture
def empty(tmp_path):
    return Store(tmp_path / "results" / "synthetic_z_paper")


@pytest.fixture
def store(empty):
    empty.open(Experiment(DataSource("synthetic", ("z",)), "paper", {}))
    save(empty, "single-task", Y_PRED)
    return empty


@pytest.fixture
def report(tmp_path):
    """Write a report; return the page."""
    return lambda **rules: write_report(tmp_path / "results", tmp_path / "out", **rules)


class TestEvaluation:
    def test_by_hand(self, store):
        score = np.linspace(0, 1, 16)
        save(store, "mine", Y_PRED, score=score)
        figures = figures_of(store).loc["mine"].iloc[0]
        assert figures[OVERALL, "ACC"] == 12 / 16
        assert figures[OVERALL, "AUC"] == roc_auc_score(Y_TRUE, score)
        assert figures["z", "EOpD"] == pytest.approx(0.25)
        assert figures["z", "EOD"] == pytest.approx((0.25 + 0.25) / 2)
        assert figures["z", "GACCD"] == pytest.approx(0)
        assert figures["z", "GAUCD"] == pytest.approx(0)

    @pytest.mark.parametrize(("eod", "value"), [("mean", 0.125), ("worst_case", 0.25)])
    def test_eod_as_the_mean_or_the_larger_gap(self, store, eod, value):
        y_pred = Y_PRED.copy()
        y_pred[4] = 0  # no false positives in either group
        save(store, "mine", y_pred)
        figures = figures_of(store, eod)
        assert figures.loc["mine", ("z", "EOD")].item() == pytest.approx(value)

    def test_small_groups_are_left_out_and_counted(self, store):
        assert np.isnan(figures_of(store, "mean", 5).iloc[0]["z", "EOD"])
        assert notes_of(store, "mean", 5) == [
            "A group with fewer than 5 of the samples that a difference is about "
            "(positives, negatives, or both) is left out of it.",
            f"In 1 of 1 {LEFT_OUT}: z a, z b.",
        ]
        assert figures_of(store, "mean", 4).iloc[0]["z", "EOD"] == pytest.approx(0.25)
        assert len(notes_of(store, "mean", 4)) == 1

    def test_a_third_group_that_is_left_out_is_counted(self, store):
        # It has one sample, of the validation part.
        change(store, lambda t: t.assign(**{"group:z": ["c", *t["group:z"][1:]]}))
        assert figures_of(store).iloc[0]["z", "EOpD"] == pytest.approx(0.25)
        assert notes_of(store) == [f"In 1 of 1 {LEFT_OUT}: z c."]

    def test_a_group_that_only_other_repeats_have_is_counted(self, store):
        save(store, "single-task", Y_PRED, repeat=1)
        change(store, lambda t: t.replace({"group:z": {"b": "c"}}))
        assert notes_of(store) == [f"In 2 of 2 {LEFT_OUT}: z b, z c."]

    def test_unknown_groups_are_counted(self, store):
        # One in each part.
        change(
            store, lambda t: t.assign(**{"group:z": t["group:z"].mask(t["row"] < 1)})
        )
        assert notes_of(store) == [
            "6.2 % of the test samples belong to no known group of z, and count for "
            "performance only."
        ]

    def test_runs_that_have_not_ended_are_counted(self, store):
        store.ask([Run("single-task", 0), Run("mine", 0), Run("mine", 1)])
        store.ask([Run("mine", 0, 0.5)])
        store.save_error(Run("mine", 1), {"error": "no"})
        assert store.pending() == [Run("mine", 0, 0.5), Run("mine", 0)]
        assert notes_of(store)[0] == (
            "Not finished: 2 requested runs have no result yet."
        )

    def test_constant_classifiers_are_marked(self, store):
        nobody = np.zeros(16, dtype=int)
        save(store, "mine", nobody, score=Y_TRUE)
        save(store, "mine", Y_PRED, repeat=1)
        save(store, "mine", nobody, lam=0.3, score=Y_TRUE)
        save(store, "single-task", Y_PRED, lam=0.3)
        table = table_of(store)
        assert table.methods["constant"].to_dict() == {"single-task": 0, "mine": 1}
        assert "constant" in table.to_text()
        assert table.to_frame()["constant"].tolist() == [0, 1]
        note = "mine: in the ablation all predictions were one class in 1 of 1 runs."
        assert note in notes_of(store)
        # The AUC is 1 and the EOD 0, but the point is not on the front.
        (fronts,) = fronts_of(store)
        points = fronts.points.set_index("method")
        assert np.isnan(points.loc["mine", "disparity"])
        assert not points.loc["mine", "on_front"]
        assert fronts.volumes["mine"] == 0

    def test_collapsed_heads_are_counted(self, store):
        save(store, "mine", Y_PRED, warnings=COLLAPSED)
        save(store, "mine", Y_PRED, repeat=1)
        assert table_of(store).methods["collapsed"]["mine"] == 1

    def test_collapsed_heads_of_the_ablation_are_noted(self, store):
        save(store, "mine", Y_PRED, lam=0.3, warnings=COLLAPSED)
        save(store, "mine", Y_PRED, lam=0.6)
        assert notes_of(store)[0] == (
            "mine: in the ablation the fairness head collapsed in 1 of 2 runs."
        )

    @pytest.mark.parametrize("content", ["", "{}", "[]"])
    def test_an_error_that_cannot_be_read_is_named(self, store, content):
        store.save_error(Run("mine", 0), {"error": "no"})
        path = store.folder / "runs" / "mine" / "own" / "repeat-000.error.json"
        path.write_text(content)
        assert notes_of(store) == [f"No run, or a damaged one: {path}"]

    @pytest.mark.parametrize("content", ["", "{}", "[1]"])
    def test_a_description_that_cannot_be_read_is_named(self, store, content):
        path = store.folder / "experiment.json"
        path.write_text(content)
        with pytest.raises(ValueError, match=f"{path}: expected the settings of"):
            store.experiment()

    def test_an_attribute_may_have_any_name(self, store):
        change(store, lambda t: t.rename(columns={"group:z": "group:overall"}))
        assert table_of(store).to_frame()["overall EOpD mean"].tolist() == [25]

    @pytest.mark.parametrize("content", ["cut", "foreign", "footer", "page"])
    def test_a_file_that_is_no_run_is_named(self, store, content):
        save(store, "mine", Y_PRED)
        path = store.folder / "runs" / "mine" / "own" / "repeat-000.parquet"
        changed = bytearray(path.read_bytes())
        if content == "foreign":
            pd.DataFrame({"a": [1]}).to_parquet(path)
            changed = bytearray(path.read_bytes())
        elif content == "cut":
            del changed[100:]
        elif content == "footer":
            size = int.from_bytes(changed[-8:-4], "little")
            changed[-8 - size : 28 - size] = bytes(36)
        else:  # the last byte of a column
            column = pyarrow.parquet.read_metadata(path).row_group(0).column(3)
            start = column.dictionary_page_offset or column.data_page_offset
            changed[start + column.total_compressed_size - 1] ^= 1
        path.write_bytes(changed)
        assert list(table_of(store).mean.index) == ["single-task"]
        assert notes_of(store) == [f"No run, or a damaged one: {path}"]
        assert store.details(Run("mine", 0)) is None  # `run` makes it again

    def test_versions_of_all_runs(self, store):
        save(store, "mine", Y_PRED, versions={"torch": "3", "timm": "1"})
        versions = evaluate(store, Rules()).versions
        assert versions == {"torch": ["2", "3"], "timm": ["1"]}

    def test_no_runs(self, empty):
        with pytest.raises(ValueError, match="no run has succeeded yet"):
            evaluate(empty, Rules())


class TestTable:
    def test_mean_deviation_rank_and_change(self, store):
        save(store, "single-task", Y_TRUE, repeat=1)  # perfect: EOD 0, AUC 1
        for repeat in (0, 1):
            save(store, "mine", Y_PRED, repeat=repeat)
        frame = table_of(store).to_frame()
        assert frame.loc["single-task", "AUC mean"] == 87.5  # of 75 and 100
        assert frame.loc["single-task", "AUC sd"] == pytest.approx(17.6777)
        assert frame.loc["mine", "AUC sd"] == 0
        assert frame.loc["single-task", "z EOD mean"] == 12.5
        # AUC 75 against 87.5; EOD and EOpD twice those of single-task; GAUCD 0 and 0.
        expected = 12.5 / 87.5 * 100 + 100 + 100
        assert frame.loc["mine", "delta-m"] == pytest.approx(expected, abs=1e-3)
        assert frame["MR"].to_dict() == {"single-task": NAN, "mine": 1}
        assert frame["runs"].tolist() == [2, 2]

    def test_ranks_are_those_of_the_repeats_that_all_have(self, store):
        save(store, "single-task", Y_TRUE, repeat=1)
        save(store, "mine", Y_TRUE, repeat=1)
        table = table_of(store)
        # On repeat 1 both are perfect; on repeat 0 there is no run of "mine".
        assert table.to_frame()["AUC mean"].to_dict() == {
            "single-task": 87.5, "mine": 100,
        }  # fmt: skip
        assert table.methods.loc["mine", "delta-m"] == 0
        assert "MR and Δm: over 1 of 2 repeats, which all have." in notes_of(store)
        # The repeats differ, although both have two.
        save(store, "mine", Y_TRUE, repeat=2)
        assert "MR and Δm: over 1 of 3 repeats, which all have." in notes_of(store)

    def test_a_method_that_fails_does_not_decide_for_the_others(self, store):
        save(store, "single-task", Y_PRED, repeat=1)
        for repeat in (0, 1):
            save(store, "mine", Y_TRUE, repeat=repeat)
        save(store, "flaky", Y_TRUE)
        store.save_error(Run("flaky", 1), {"error": "no luck"})
        ranks = table_of(store).methods["MR"].to_dict()
        assert ranks == {"single-task": NAN, "mine": 1, "flaky": NAN}
        assert notes_of(store) == [
            "flaky: 1 failed: no luck",
            "flaky: 1 of 2 runs.",
            "MR and Δm are missing for methods without all of these repeats: flaky.",
        ]
        [fronts] = fronts_of(store)
        assert fronts.n_repeats == 2
        assert fronts.points["method"].tolist() == ["single-task", "mine"]
        # Nor does single-task learning, without which nothing can be compared.
        store.save_error(Run("single-task", 2), {"error": "no luck"})
        save(store, "mine", Y_TRUE, repeat=2)
        assert table_of(store).methods["MR"].isna().all()
        assert fronts_of(store) == []

    def test_missing_runs_are_noted(self, store):
        save(store, "single-task", Y_PRED, repeat=1)
        save(store, "mine", Y_PRED, note="Mine.")
        store.save_error(Run("mine", 1), {"error": "no\nluck"})
        assert notes_of(store) == [
            "mine: Mine.",
            "mine: 1 failed: no luck",  # in one line, as LaTeX's comments are
            "mine: 1 of 2 runs.",
            "MR and Δm are missing for methods without all of these repeats: mine.",
        ]

    def test_runs_of_the_ablation_are_not_in_it(self, store):
        save(store, "mine", Y_PRED, lam=0.3)
        assert list(table_of(store).mean.index) == ["single-task"]

    def test_single_task_learning_is_needed(self, empty):
        save(empty, "mine", Y_PRED)
        with pytest.raises(ValueError, match="no run of single-task"):
            table_of(empty)

    @pytest.mark.parametrize(
        ("eod", "details", "sentence"),
        [
            ("mean", {}, "Test parts of 1 hold-outs, per cent. EOD is the mean of the"),
            ("worst_case", {}, "hold-outs, per cent. EOD is the larger of the gaps in"),
            ("mean", {"has_test_part": True}, "The test part of the data, 1 seeds, pe"),
        ],
    )
    def test_notes_of_all_tables(self, store, eod, details, sentence):
        save(store, "single-task", Y_PRED, **details)
        table = make_table(evaluate(store, Rules(eod)), ["A trial."])
        for text in (table.to_text(), table.to_latex()):
            assert sentence in text
            assert "The positive class is yes." in text
            assert "A trial." in text

    def test_latex_and_html_hold_the_same_cells(self, store):
        save(store, "a%b#c$d{e}^~", Y_PRED)
        save(store, "mine_&_yours", Y_PRED)
        table = table_of(store)
        latex = table.to_latex()
        expected = r"a\%b\#c\$d\{e\}\textasciicircum{}\textasciitilde{} & "
        assert expected in latex
        assert r"mine\_\&\_yours & Mine\_\&\_Yours & GLD & 75.00 & " in latex
        assert latex.count(r"\\") == 5
        cells = [line.count(" & ") for line in latex.splitlines() if " & " in line]
        assert len(set(cells[1:])) == 1
        assert "mine_&amp;_yours" in table.to_html()


class TestFronts:
    def test_by_hand(self, store):
        # single-task: AUC .75, EOD .25. mine: AUC 1, EOD 0 at lam .2; as it at lam .8.
        save(store, "mine", Y_TRUE, lam=0.2)
        save(store, "mine", Y_PRED, lam=0.8)
        save(store, "mine", Y_PRED)
        [fronts] = fronts_of(store)
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
        [fronts] = fronts_of(store)
        assert fronts.n_repeats == 1
        assert fronts.points["performance"].tolist() == [0.75, 0.75]
        # Nor do runs that are not drawn matter.
        save(store, "mine", Y_PRED, repeat=1)
        assert fronts_of(store)[0].n_repeats == 1
        save(store, "mine", Y_PRED, lam=0.4, repeat=1)
        assert fronts_of(store) == []

    def test_error_bars_are_standard_errors(self, store):
        save(store, "single-task", Y_TRUE, repeat=1)
        [fronts] = fronts_of(store)
        frame = fronts.to_frame()
        # In per cent, as the tables are.
        assert frame["AUC standard error"].item() == pytest.approx(12.5)
        assert frame["EOD standard error"].item() == pytest.approx(12.5)

    def test_a_family_has_one_colour_in_both_figures(self, store):
        for method, family in (("mine", "Yours"), ("other", "Yours"), ("peer", "P")):
            save(store, method, Y_TRUE, lam=0.2, family=family)
            save(store, method, Y_PRED, lam=0.8, family=family)
        [fronts] = fronts_of(store)
        for figure in (draw_front(fronts), draw_ablation(fronts)):
            colour, texts = {}, {}
            for ax in figure.axes:
                colour |= {line.get_label(): line.get_color() for line in ax.lines}
                texts |= {text.get_text(): text.get_color() for text in ax.texts}
            assert colour["mine"] == colour["other"] != colour["peer"]
            # The names beside the lines have their colours.
            assert all(colour[name] == texts[name] for name in ("mine", "peer"))
            (legend,) = figure.legends
            of_family = {
                text.get_text(): line.get_color()
                for text, line in zip(
                    legend.get_texts(), legend.get_lines(), strict=True
                )
            }
            assert of_family["Yours"] == colour["mine"]

    def test_names_beside_lines_do_not_collide(self):
        heights = _apart([0.5, 0.5, 0.51, 0.0, 0.001])
        assert np.diff(np.sort(heights)).min() >= GAP - 1e-9
        assert heights.min() >= 0
        assert heights[2] == heights.max()  # the order is kept

    def test_figures_are_in_per_cent(self, store):
        save(store, "mine", Y_TRUE, lam=0.2)
        [fronts] = fronts_of(store)
        (line,) = (
            line for line in draw_front(fronts).axes[0].lines
            if line.get_label() == "mine"
        )  # fmt: skip
        assert line.get_xydata().tolist() == [[0, 100]]

    def test_methods_that_are_not_shown_are_named(self, store):
        save(store, "mine", np.zeros(16, dtype=int), score=Y_TRUE)
        store.save_error(Run("other", 0), {"error": "no luck"})
        [fronts] = fronts_of(store)
        assert draw_front(fronts).get_suptitle() == (
            "Not shown: other (failed), mine (constant predictions)."
        )

    def test_without_an_ablation_each_method_is_a_point(self, store):
        save(store, "mine", Y_PRED)
        [fronts] = fronts_of(store)
        assert fronts.points["method"].tolist() == ["single-task", "mine"]
        assert not fronts.is_varied

    def test_without_a_difference_there_is_nothing_to_cover(self, empty):
        save(empty, "single-task", Y_TRUE)
        save(empty, "mine", Y_PRED)
        [fronts] = fronts_of(empty)
        assert fronts.volumes.isna().all()


@pytest.mark.slow
class TestReport:
    def test_files_and_page(self, store, report, capsys):
        save(store, "mine", Y_TRUE, lam=0.2)
        save(store, "mine", Y_PRED, lam=0.8)
        store.save_error(Run("other", 0), {"error": "ValueError: <never>"})
        plt.close("all")  # those of other tests
        page = report()
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
        assert report().read_text(encoding="utf-8") == text

    def test_summary(self, store, report):
        save(store, "mine", Y_TRUE)
        save(store, "nobody", np.zeros(16, dtype=int), score=np.zeros(16))
        store.save_error(Run("other", 0), {"error": "no"})
        assert (
            "<p>mine has the highest AUC, 100.0 %; single-task learning has 75.0 %. "
            "The lowest EOD of z is that of mine, 0.0 % with 100.0 % AUC; single-task "
            "learning has 25.0 %. These are means over up to 1 runs; the number of "
            "methods that predicted one class for everybody in a run is 1, of those "
            "that failed in a run 1.</p>"
        ) in report().read_text(encoding="utf-8")

    def test_an_experiment_without_runs_does_not_hide_the_others(
        self, store, report, capsys
    ):
        empty = Store(store.folder.with_name("adult_race_paper"))
        empty.open(Experiment(DataSource("adult", ("race",)), "paper", {}))
        report()
        assert "adult_race_paper: left out" in capsys.readouterr().out

    def test_without_a_repeat_in_common_there_are_no_figures(self, store, report):
        save(store, "mine", Y_PRED, repeat=1)
        page = report()
        assert "no repeat has all methods" in page.read_text(encoding="utf-8")
        csv = pd.read_csv(page.parent / "synthetic_z_paper.csv")
        assert csv["MR"].isna().all()
        assert csv["AUC mean"].tolist() == [75, 75]

    def test_one_experiment_alone(self, store, tmp_path):
        assert write_report(store.folder, tmp_path / "out").exists()

    def test_names_that_mean_something_to_a_figure_or_a_file(self, store, report):
        save(store, "$10^$2", Y_PRED)
        for which in (0, 1):
            change(
                store,
                lambda t: t.drop(columns="group:z").assign(
                    **{f"group:{n}": t["group:z"] for n in ("a b", "a-b", "pay $a^$b")}
                ),
                which,
            )
        page = report()
        assert "EOD, pay $a^$b" in page.read_text(encoding="utf-8")
        assert {path.name for path in page.parent.glob("*.svg")} == {
            f"synthetic_z_paper_{name}_front.svg"
            for name in ("a-b-1", "a-b-2", "pay-a-b")
        }

    @pytest.mark.parametrize(
        ("params", "note"),
        [
            (
                {"pretrained_cfg_overlay": {"file": "/a/w.bin"}},
                "- Pretrained weights of the backbone: w.bin.",
            ),
            (None, "- Parameters of fairtask's networks: {'backbone_params': None}."),
            (
                {"drop_rate": 0.1, "pretrained_cfg_overlay": {"file": "w.bin"}},
                "- Parameters of fairtask's networks: {'backbone_params': {'drop_rate'",
            ),
        ],
    )
    def test_parameters_of_the_backbone_are_noted(self, empty, report, params, note):
        source = DataSource("fairface", ("race",))
        empty.open(Experiment(source, "tuned", {"backbone_params": params}))
        save(empty, "single-task", Y_PRED)
        assert note in (report().parent / "synthetic_z_paper.txt").read_text()

    def test_a_rule_that_leaves_no_group_leaves_no_difference(self, store, report):
        save(store, "mine", Y_PRED)
        page = report(min_group_size=9)
        csv = pd.read_csv(page.parent / "synthetic_z_paper.csv")
        assert csv["z EOD mean"].isna().all()

    def test_min_group_size_is_checked(self, report):
        with pytest.raises(ValueError, match="`min_group_size` must be at least 1"):
            report(min_group_size=0)
