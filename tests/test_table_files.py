"""Small files that are read by name, checked, and refused if they are damaged."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from fairtask.datasets._table import TableFormat, as_categories, read_table

TINY = TableFormat(
    columns=("age", "job"),
    numeric=("age",),
    label="y",
    labels={"no": 0, "yes": 1},
    n_rows=3,
    n_positives=1,
    incomplete=("job",),
    missing="?",
)
GOOD = "age,job,spare,y\n39,clerk,,no\n41,?,,yes\n18,actor,,no\n"


def read_tiny(tmp_path, text, **changes):
    path = tmp_path / "tiny.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_table(path, replace(TINY, **changes))


@pytest.mark.parametrize(
    ("text", "changes"),
    [
        (GOOD, {}),
        # Spreadsheets begin a file with a byte order mark.
        ("\ufeff" + GOOD, {}),
        # Other columns may have any name, and the order does not matter.
        (GOOD.replace("spare", "start"), {}),
        ("y,job,age\nno,clerk,39\nyes,?,41\nno,actor,18\n", {}),
        # Two columns of COMPAS have the same name, which pandas changes when it writes
        # a table.
        ("age,job,age,y\n39,clerk,1,no\n41,?,2,yes\n18,actor,3,no\n", {}),
        ("age,job,age.1,y\n39,clerk,1,no\n41,?,2,yes\n18,actor,3,no\n", {}),
        # UCI's formats: Adult has no header, Bank Marketing has quotes.
        (
            "|1x3 Cross validator\n39, clerk, no\n41, ?, yes\n18, actor, no\n\n",
            {"header": False},
        ),
        (
            '"age";"job";"spare";"y"\n39;"clerk";1;"no"\n41;"?";2;"yes"\n18;actor;;no\n',
            {"delimiter": ";"},
        ),
    ],
)
def test_table(tmp_path, text, changes):
    table = read_tiny(tmp_path, text, **changes)
    expected = pd.DataFrame(
        {"age": [39, 41, 18], "job": ["clerk", None, "actor"], "y": [0, 1, 0]}
    )
    pd.testing.assert_frame_equal(table, expected)


def test_table_with_missing_numbers(tmp_path):
    table = read_tiny(tmp_path, GOOD.replace("41", "?"), incomplete=("age", "job"))
    assert table["age"].dtype == np.float64
    np.testing.assert_array_equal(table["age"], [39, np.nan, 18])


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "expected a table of fields separated by ','.*No columns"),
        ("<html>Moved</html>", "found 1 columns, which lack age, job, y"),
        (GOOD.replace("age", "years"), "found 4 columns, which lack age"),
        (GOOD.rpartition("18")[0], "expected 3 rows, found 2"),
        (GOOD + "39,clerk,,no\n", "expected 3 rows, found 4"),
        (GOOD.replace("18,actor,,no", "18,ac"), "column `y`: .* found ''"),
        (GOOD.replace("clerk", "clerk,chief"), r"column `age`: .* found '\?'"),
        (GOOD.replace("actor", "actor,chief"), "Expected 4 fields in line 4, saw 5"),
        (
            GOOD.replace("41", "4l"),
            r"column `age`: expected whole numbers, found '4l' \(1 such",
        ),
        (GOOD.replace("41", "41.5"), "column `age`.*'41.5'"),
        (GOOD.replace("41", "nan"), "column `age`.*'nan'"),
        (GOOD.replace("41", "inf"), "column `age`.*'inf'"),
        (GOOD.replace("41", "1e30"), "column `age`.*'1e30'"),
        (GOOD.replace("41", ""), "column `age`: expected a value, found ''"),
        (GOOD.replace("41", "?"), r"column `age`: expected a value, found '\?'"),
        (GOOD.replace("clerk", ""), "column `job`: expected a value, found ''"),
        (GOOD.replace("yes", "Yes"), "column `y`: expected no or yes, found 'Yes'"),
        (GOOD.replace("yes", "?"), r"column `y`: expected no or yes, found '\?'"),
        (GOOD.replace("no\n18", "yes\n18").replace("yes", "no"), "positives"),
        (GOOD.replace("yes", "no"), "expected 1 positives in `y`, found 0"),
        (GOOD.encode("utf-16"), "expected a table of fields"),
        (b"\x1f\x8b\x08\x00\xff\xfe", "expected a table of fields"),
    ],
)
def test_table_errors(tmp_path, text, match):
    with pytest.raises(ValueError, match=match) as error:
        read_tiny(tmp_path, text)
    assert str(tmp_path / "tiny.csv") in str(error.value)


def test_table_without_header_that_is_empty(tmp_path):
    with pytest.raises(ValueError, match="expected 3 rows, found 0"):
        read_tiny(tmp_path, "", header=False)


def test_categories_do_not_depend_on_the_order_of_rows():
    frame = pd.DataFrame({"job": ["clerk", None, "actor"], "age": [1, 2, 3]})
    for rows in (frame, frame[::-1]):
        categories = as_categories(rows)
        assert list(categories["job"].cat.categories) == ["actor", "clerk"]
        assert categories["age"].dtype == np.int64
