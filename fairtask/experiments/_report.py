"""Tables, figures and one page, from saved runs; nothing is trained."""

import html
import io
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import pandas as pd

from fairtask.experiments._drawings import (
    draw_ablation,
    draw_front,
    family_colours,
)
from fairtask.experiments._evaluation import Rules, evaluate
from fairtask.experiments._fronts import Fronts, make_fronts
from fairtask.experiments._notes import FAMILIES, summary_of
from fairtask.experiments._store import DESCRIPTION, Experiment, Store, file_name
from fairtask.experiments._tables import make_table

__all__ = ["write_report"]

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 90rem;
  padding: 0 1rem; color: #1c1c1c; background: #fff }
h1, h2, h3 { line-height: 1.2 } h2 { margin-top: 3rem; border-top: 1px solid #ccc;
  padding-top: 1.5rem }
.wide { overflow-x: auto }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums }
th, td { padding: .25rem .6rem; text-align: right; white-space: nowrap }
th { font-weight: 600; background: #f4f4f4 }
th[colspan] { text-align: center; border-bottom: 1px solid #bbb }
tbody th, td:nth-child(2), td:nth-child(3) { text-align: left }
tbody tr:hover { background: #eef4ff }
tbody th { position: sticky; left: 0 }
i { display: inline-block; width: .8em; height: .8em; margin-right: .4em }
tbody tr { border-top: 1px solid #e4e4e4 }
svg { max-width: 100%; min-width: 40rem; height: auto }
ul { color: #444; font-size: 14px }
.families { list-style: none; padding-left: 0 }
"""

PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>fairtask: experiments</title>
<style>{style}</style>
</head>
<body>
<h1>Experiments</h1>
<p>Test parts of repeated hold-outs, 60/20/20 %, the same for every method; per cent,
mean ± standard deviation. AUC and ACC: area under the ROC curve and accuracy, the
higher the better; all else, the lower. EOD: gap in true and false positive rates. EOpD:
gap in true positive rates. GAUCD, GACCD: gaps in AUC and accuracy. MR: mean rank over
performance and differences of each attribute. Δm: relative change against single-task
learning, summed over the metrics of an attribute; where single-task learning hardly has
a difference, a small change is a large one relative to it, and where it has none, Δm is
undefined.</p>
{body}
</body>
</html>
"""

HYPERVOLUME = (
    "<p>Hypervolume of each method's front, in units of the rectangle between "
    "single-task learning's EOD and 0, and from 5 % below its performance up to it: 1 "
    "is its performance without a difference, more is better performance besides; "
    "single-task learning has 0.</p>"
)


def write_report(
    results: Path, output: Path, *, eod: str = "mean", min_group_size: int = 1
) -> Path:
    """Write the tables and figures of all experiments in a folder; print the tables.

    `results` is a folder of experiments, or one experiment. `output` gets the page
    ``index.html``, which is returned, and for each experiment a table as ``.txt``,
    ``.csv`` and ``.tex``, the figures of each run, the points of the fronts, the times,
    and the drawings as ``.svg``. `eod` and `min_group_size` are those of `Rules`. A
    ValueError is raised if no experiment has a table.
    """
    if min_group_size < 1:
        raise ValueError(f"`min_group_size` must be at least 1; got {min_group_size}.")
    rules = Rules("worst_case" if eod == "worst_case" else "mean", min_group_size)
    folders = sorted(path.parent for path in results.glob(f"*/{DESCRIPTION}"))
    if (results / DESCRIPTION).is_file():
        folders = [results]
    if not folders:
        raise ValueError(
            f"expected experiments in {results}, found none; `run` makes them."
        )
    output.mkdir(parents=True, exist_ok=True)
    sections = []
    for folder in folders:
        try:
            section = Section(Store(folder), rules)
        except ValueError as error:
            # Others may have runs: an interrupted series is worth a look as well.
            print(f"{folder.name}: left out: {error}\n")
            continue
        section.write(output)
        print(f"{section.title}\n\n{section.table.to_text()}")
        sections.append(section.to_html())
    if not sections:
        raise ValueError(f"no experiment in {results} has a table yet.")
    page = output / "index.html"
    text = PAGE.format(style=STYLE, body="\n".join(sections))
    page.write_text(text, encoding="utf-8")
    return page


class Section:
    """An experiment in the report."""

    def __init__(self, store: Store, rules: Rules) -> None:
        self.name = store.folder.name
        self.evaluation = evaluate(store, rules)
        experiment = store.experiment()
        self.title = _title(experiment)
        self.table = make_table(self.evaluation, _about(experiment))
        self.fronts = make_fronts(self.evaluation)
        self.drawings = [_draw(front) for front in self.fronts]

    def write(self, output: Path) -> None:
        """Write the files of the experiment."""
        runs = self.evaluation.figures.round(6)
        runs.columns = runs.columns.map(" ".join).str.strip()
        # Not in a table, because times differ from one experiment to the next.
        seconds = self.evaluation.seconds.groupby(level="method", sort=False).mean()
        contents = {
            ".txt": self.table.to_text(),
            ".tex": self.table.to_latex(),
            ".csv": self.table.to_frame().to_csv(),
            "_runs.csv": runs.to_csv(),
            "_times.csv": seconds.round(1).rename("fit [s]").to_csv(),
        }
        if self.fronts:
            points = pd.concat([front.to_frame() for front in self.fronts])
            contents["_fronts.csv"] = points.to_csv(index=False)
        names = [file_name(front.attribute) for front in self.fronts]
        for i, (name, drawings) in enumerate(zip(names, self.drawings, strict=True)):
            # Two attributes may have the same file name.
            number = f"-{i + 1}" if names.count(name) > 1 else ""
            for kind, svg in drawings.items():
                contents[f"_{name}{number}_{kind}.svg"] = svg
        for end, text in contents.items():
            (output / f"{self.name}{end}").write_text(text, encoding="utf-8")

    def to_html(self) -> str:
        """Format the experiment as a part of the page."""
        notes = "".join(f"<li>{html.escape(note)}</li>" for note in self.table.notes)
        parts = [
            f"<h2>{html.escape(self.title)}</h2>",
            f"<p>{html.escape(summary_of(self.table, self.evaluation))}</p>",
            f'<div class="wide">{self.table.to_html()}</div>',
            _families(self.evaluation.methods["family"]),
            f"<ul>{notes}</ul>",
        ]
        if not self.fronts:
            parts.append("<p>No figures: no repeat has all methods and lams.</p>")
        for front, drawings in zip(self.fronts, self.drawings, strict=True):
            attribute = html.escape(front.attribute)
            parts += [
                f"<h3>Performance and EOD, {attribute}</h3>",
                f"<p>Mean over {front.n_repeats} repeats, the same for all points; "
                "methods that failed on one of them are not shown.</p>",
                f'<div class="wide">{drawings["front"]}</div>',
            ]
            if front.is_varied:
                volumes = front.volumes.sort_values(ascending=False).round(3)
                parts += [
                    HYPERVOLUME,
                    f'<div class="wide">{volumes.to_frame().to_html(border=0)}</div>',
                    f"<h3>Ablation of lam, {attribute}</h3>",
                    f'<div class="wide">{drawings["ablation"]}</div>',
                ]
        versions = ", ".join(
            f"{name} {' and '.join(found)}"
            for name, found in self.evaluation.versions.items()
        )
        return "\n".join([*parts, f"<p>Made with {html.escape(versions)}.</p>"])


def _families(families: pd.Series) -> str:
    """Describe the families of methods, with the colours of the drawings."""
    entries = (
        f'<li><i style="background: {colour}"></i><b>{html.escape(family)}</b>: '
        f"{html.escape(', '.join(families.index[families == family]))}. "
        f"{html.escape(FAMILIES.get(family, ''))}</li>"
        for family, colour in family_colours(families).items()
    )
    return f'<ul class="families">{"".join(entries)}</ul>'


def _title(experiment: Experiment) -> str:
    source = experiment.source
    quick = ", quick" if source.quick else ""
    dropped = ", not among the features" if source.drop_sensitive else ""
    return (
        f"{source.name}: {' and '.join(source.attributes)}{dropped} "
        f"({experiment.preset}{quick})"
    )


def _about(experiment: Experiment) -> list[str]:
    """Return notes on an experiment."""
    notes = []
    if experiment.source.quick:
        notes.append(
            "Quick: a trial with little data and training, which means nothing."
        )
    parameters = dict(experiment.parameters)
    match parameters.get("backbone_params"):
        case {"pretrained_cfg_overlay": {"file": str(file), **more}, **others} if not (
            more or others
        ):
            notes.append(f"Pretrained weights of the backbone: {Path(file).name}.")
            del parameters["backbone_params"]
    if parameters:
        notes.append(f"Parameters of fairtask's networks: {parameters}.")
    return notes


def _draw(front: Fronts) -> dict[str, str]:
    """Draw the front and, where lam was varied, the ablation."""
    drawings = {"front": _svg(draw_front(front))}
    if front.is_varied:
        drawings["ablation"] = _svg(draw_ablation(front))
    return drawings


def _svg(figure: Any) -> str:
    """Draw a figure as an element of a page, the same bytes each time."""
    settings: Any = {"svg.hashsalt": "fairtask", "svg.fonttype": "none"}
    with mpl.rc_context(settings), io.StringIO() as file:
        figure.savefig(file, format="svg", bbox_inches="tight", metadata={"Date": None})
        text = file.getvalue()
    plt.close(figure)
    return text[text.index("<svg") :]
