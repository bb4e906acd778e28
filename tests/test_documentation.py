"""The code of the pages runs and prints what the pages say."""

import doctest
import re
import warnings
from pathlib import Path

import pytest

from tests._datasets import real_folder

ROOT = Path(__file__).parents[1]
PAGES = [
    path
    for path in sorted((ROOT / "docs").glob("**/*.rst"))
    if ">>> " in path.read_text() and not {"_build", "auto_examples"} & {*path.parts}
]
DATA = {
    "fetch_adult": "adult/adult.data",
    "fetch_compas": "compas/compas-scores-two-years.csv",
}
NUMBER = re.compile(r"-?\d*\.\d+")
TOLERANCE = 0.06  # other versions of torch round differently, and training amplifies it


class AboutEqual(doctest.OutputChecker):
    """Accept decimal fractions that are close to the printed ones."""

    def check_output(self, want, got, optionflags):
        numbers = [NUMBER.findall(text) for text in (want, got)]
        want, got = (NUMBER.sub("#", text) for text in (want, got))
        if not super().check_output(want, got, optionflags):
            return False
        wanted, found = ([float(n) for n in part] for part in numbers)
        return found == pytest.approx(wanted, abs=TOLERANCE, rel=0.1)


def mark(path):
    """Mark the pages that need data, which train the longest."""
    marks = [pytest.mark.slow]
    if "fetch_" in path.read_text():
        marks.append(pytest.mark.real_data)
    return pytest.param(path, marks=marks, id=str(path.relative_to(ROOT)))


@pytest.mark.parametrize("path", [mark(path) for path in PAGES])
def test_page(path, tmp_path, monkeypatch):
    text = path.read_text()
    if files := [file for fetcher, file in DATA.items() if fetcher in text]:
        real_folder(*files)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    test = doctest.DocTestParser().get_doctest(text, {}, path.name, str(path), 0)
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    runner = doctest.DocTestRunner(AboutEqual(), verbose=False, optionflags=flags)
    report = []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        runner.run(test, out=report.append)
    assert runner.summarize(verbose=False).failed == 0, "".join(report)


@pytest.mark.parametrize(
    ("want", "got", "is_equal"),
    [
        ("0.61 [0.50, 0.72]", "0.62  [0.51, 0.71]", True),
        ("0.61", "0.75", False),
        ("lam=0.3: 17", "lam=0.3: 18", False),
        ("a 0.1", "b 0.1", False),
    ],
)
def test_about_equal(want, got, is_equal):
    checker = AboutEqual()
    flags = doctest.NORMALIZE_WHITESPACE
    assert checker.check_output(want, got, flags) == is_equal
