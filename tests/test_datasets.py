import functools
import gc
import hashlib
import io
import os
import shutil
import socket
import subprocess
import sys
import zipfile
from collections import Counter
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pandas as pd
import pooch
import pytest
from fairlearn.metrics import equalized_odds_difference
from scipy.special import expit
from scipy.stats import norm
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from fairtask import datasets
from fairtask.datasets import (
    _adult,
    _bank,
    _compas,
    _fetch,
    fetch_adult,
    fetch_bank_marketing,
    fetch_compas,
    make_biased_classification,
)
from fairtask.datasets._fetch import RemoteFile, fetch_file
from fairtask.datasets._table import TableFormat, as_categories, read_table

FETCHERS = [fetch_adult, fetch_compas, fetch_bank_marketing]
FILES = {
    "adult.data": (_adult, "TRAINING_PART"),
    "adult.test": (_adult, "TEST_PART"),
    "bank-full.csv": (_bank, "FILE"),
    "compas-scores-two-years.csv": (_compas, "FILE"),
}
FETCHER_OF = {
    "adult.data": fetch_adult,
    "adult.test": fetch_adult,
    "bank-full.csv": fetch_bank_marketing,
    "compas-scores-two-years.csv": fetch_compas,
}


def sha256(content):
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def real_data():
    """Return the folder of the data sets, or skip."""
    folder = os.environ.get("FAIRTASK_DATA")
    if not folder:
        pytest.skip("FAIRTASK_DATA is not set")
    for module, name in FILES.values():
        if not (Path(folder) / getattr(module, name).path).is_file():
            pytest.skip(f"FAIRTASK_DATA has no {getattr(module, name).path}")
    return Path(folder)


@functools.cache
def load(fetch, folder, **arguments):
    """Read the data once; the tests do not change them."""
    return fetch(data_home=folder, **arguments)


@pytest.fixture
def own_copy(real_data, tmp_path):
    """Return a folder with copies of the data sets that a test may damage."""
    for module, name in FILES.values():
        path = getattr(module, name).path
        (tmp_path / path).parent.mkdir(exist_ok=True)
        # copyfile: the originals may be read-only, the copies are not.
        shutil.copyfile(real_data / path, tmp_path / path)
    return tmp_path


# Data sets


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("fetch", "n_samples", "n_positives", "groups"),
    [
        (
            fetch_adult,
            45_222,
            11_208,
            {
                "sex": {"Male": 30_527, "Female": 14_695},
                "race": {
                    "White": 38_903,
                    "Black": 4_228,
                    "Asian-Pac-Islander": 1_303,
                    "Amer-Indian-Eskimo": 435,
                    "Other": 353,
                },
            },
        ),
        (
            fetch_compas,
            6_172,
            2_809,
            {
                "sex": {"Male": 4_997, "Female": 1_175},
                "race": {
                    "African-American": 3_175,
                    "Caucasian": 2_103,
                    "Hispanic": 509,
                    "Other": 343,
                    "Asian": 31,
                    "Native American": 11,
                },
            },
        ),
        (
            fetch_bank_marketing,
            45_211,
            5_289,
            {"age": {"25-60": 43_214, "other": 1_997}},
        ),
    ],
)
def test_counts(real_data, fetch, n_samples, n_positives, groups):
    bunch = load(fetch, real_data)
    assert len(bunch.data) == n_samples
    assert bunch.target.sum() == n_positives
    assert set(bunch.target) == {0, 1}
    found = {
        name: column.value_counts().to_dict()
        for name, column in bunch.sensitive_features.items()
    }
    assert found == groups


@pytest.mark.real_data
@pytest.mark.parametrize("fetch", FETCHERS)
def test_bunch_is_consistent(real_data, fetch):
    bunch = load(fetch, real_data)
    index = pd.RangeIndex(len(bunch.data))
    for part in (bunch.data, bunch.target, bunch.sensitive_features):
        pd.testing.assert_index_equal(part.index, index, exact=True)
    assert bunch.feature_names == list(bunch.data.columns)
    assert bunch.sensitive_feature_names == list(bunch.sensitive_features.columns)
    assert len(bunch.target_names) == 2
    assert bunch.target.dtype == np.int64
    assert bunch.target.name not in bunch.data
    assert all(Path(name).is_file() for name in bunch.filenames)
    assert f"{len(bunch.data):,}" in bunch.DESCR
    assert f"{bunch.target.sum():,}" in bunch.DESCR
    for column in bunch.data:
        dtype = bunch.data[column].dtype
        assert dtype == np.int64 or isinstance(dtype, pd.CategoricalDtype), column
    for column in bunch.sensitive_features:
        assert isinstance(bunch.sensitive_features[column].dtype, pd.CategoricalDtype)
    for column in bunch.data.select_dtypes("category"):
        categories = list(bunch.data[column].cat.categories)
        assert categories == sorted(categories)


@pytest.mark.real_data
@pytest.mark.parametrize("fetch", FETCHERS)
def test_return_of_a_pair(real_data, fetch):
    bunch = load(fetch, real_data)
    X, y = load(fetch, real_data, return_X_y=True)
    pd.testing.assert_frame_equal(X, bunch.data)
    pd.testing.assert_series_equal(y, bunch.target)


@pytest.mark.real_data
@pytest.mark.parametrize("fetch", [fetch_adult, fetch_compas])
def test_sensitive_features_are_features_too(real_data, fetch):
    bunch = load(fetch, real_data)
    pd.testing.assert_frame_equal(bunch.sensitive_features, bunch.data[["sex", "race"]])


@pytest.mark.real_data
def test_adult_columns_and_order(real_data):
    adult = load(fetch_adult, real_data, dropna=False)
    assert adult.feature_names == [
        "age",
        "workclass",
        "fnlwgt",
        "education",
        "education-num",
        "marital-status",
        "occupation",
        "relationship",
        "race",
        "sex",
        "capital-gain",
        "capital-loss",
        "hours-per-week",
        "native-country",
    ]
    assert adult.target_names == ["<=50K", ">50K"]
    # The first rows of adult.data and of adult.test, which comes after it.
    assert adult.data["fnlwgt"].iloc[[0, 32_561]].tolist() == [77_516, 226_802]
    assert adult.data["workclass"].iloc[[0, 32_561]].tolist() == [
        "State-gov",
        "Private",
    ]
    assert adult.target.iloc[:32_561].sum() == 7_841


@pytest.mark.real_data
def test_adult_missing_values(real_data):
    everybody = load(fetch_adult, real_data, dropna=False)
    complete = load(fetch_adult, real_data)
    assert len(everybody.data) == 48_842
    assert everybody.target.sum() == 11_687
    missing = everybody.data.isna().sum()
    assert missing[missing > 0].to_dict() == {
        "workclass": 2_799,
        "occupation": 2_809,
        "native-country": 857,
    }
    assert not complete.data.isna().any(axis=None)
    # "Never-worked" does not occur in complete rows, and stays a category.
    assert "Never-worked" in complete.data["workclass"].cat.categories
    pd.testing.assert_series_equal(complete.data.dtypes, everybody.data.dtypes)


@pytest.mark.real_data
def test_compas_has_honest_features_only(real_data):
    compas = load(fetch_compas, real_data)
    assert compas.feature_names == [
        "sex",
        "age",
        "race",
        "juv_fel_count",
        "juv_misd_count",
        "juv_other_count",
        "priors_count",
        "c_charge_degree",
    ]
    assert set(compas.data["c_charge_degree"].cat.categories) == {"F", "M"}
    # Leaked outcomes give an AUC above 0.9, honest features 0.73.
    train, test = train_test_split(
        compas.data.index, test_size=0.2, random_state=0, stratify=compas.target
    )
    model = make_pipeline(
        make_column_transformer(
            (OneHotEncoder(handle_unknown="ignore"), ["sex", "race"]),
            (OneHotEncoder(), ["c_charge_degree"]),
            remainder=StandardScaler(),
        ),
        LogisticRegression(max_iter=1000),
    ).fit(compas.data.loc[train], compas.target[train])
    scores = model.predict_proba(compas.data.loc[test])[:, 1]
    assert 0.70 < roc_auc_score(compas.target[test], scores) < 0.77


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("days_b_screening_arrest", "31"),
        ("days_b_screening_arrest", "-31"),
        ("days_b_screening_arrest", ""),
        ("is_recid", "-1"),
        ("c_charge_degree", "O"),
        ("score_text", "N/A"),
    ],
)
def test_compas_filter(own_copy, column, value):
    # The published file happens to need the first condition only.
    path = own_copy / _compas.FILE.path
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    assert table.loc[0, column] != value
    table.loc[0, column] = value
    table.to_csv(path, index=False)
    assert len(fetch_compas(data_home=own_copy).data) == 6_171


@pytest.mark.real_data
def test_bank_duration_is_left_out_unless_asked_for(real_data):
    honest = load(fetch_bank_marketing, real_data)
    leaky = load(fetch_bank_marketing, real_data, include_duration=True)
    assert set(leaky.feature_names) - set(honest.feature_names) == {"duration"}
    assert honest.data.shape == (45_211, 15)
    pd.testing.assert_frame_equal(leaky.data[honest.feature_names], honest.data)


@pytest.mark.real_data
def test_bank_age_groups_include_their_ends(real_data):
    bank = load(fetch_bank_marketing, real_data)
    ages = bank.data["age"].groupby(bank.sensitive_features["age"], observed=True)
    assert ages.min()["25-60"] == 25
    assert ages.max()["25-60"] == 60
    other = bank.data["age"][bank.sensitive_features["age"] == "other"]
    assert not other.between(25, 60).any()


# Where files are looked for


@pytest.fixture
def no_download(monkeypatch):
    def refuse(file, target):
        raise OSError("downloads are switched off in this test")

    monkeypatch.setattr(_fetch, "_download", refuse)


@pytest.fixture
def file():
    return RemoteFile("some/file.txt", "http://127.0.0.1/file.txt", sha256(b"content"))


def put(folder, file, content=b"content"):
    path = folder / file.path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_argument_precedes_environment(monkeypatch, no_download, tmp_path, file):
    monkeypatch.setenv("FAIRTASK_DATA", str(tmp_path / "environment"))
    by_environment = put(tmp_path / "environment", file)
    by_argument = put(tmp_path / "argument", file)
    assert fetch_file(file, None) == by_environment
    assert fetch_file(file, tmp_path / "argument") == by_argument
    assert fetch_file(file, str(tmp_path / "argument")) == by_argument


@pytest.mark.parametrize("value", [None, ""])
def test_sklearn_data_home_without_environment(
    monkeypatch, no_download, tmp_path, file, value
):
    if value is None:
        monkeypatch.delenv("FAIRTASK_DATA", raising=False)
    else:
        monkeypatch.setenv("FAIRTASK_DATA", value)
    monkeypatch.setenv("SCIKIT_LEARN_DATA", str(tmp_path))
    path = put(tmp_path, file)
    assert fetch_file(file, None) == path


def test_home_folder_is_expanded(monkeypatch, no_download, tmp_path, file):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    path = put(tmp_path / "data", file)
    assert fetch_file(file, "~/data") == path


def test_file_that_is_there_is_used_whatever_its_checksum(no_download, tmp_path, file):
    path = put(tmp_path, file, b"the same table without the personal columns")
    assert fetch_file(file, tmp_path) == path


@pytest.mark.real_data
@pytest.mark.parametrize("fetch", FETCHERS)
def test_files_in_the_environment_need_no_download(
    monkeypatch, no_download, real_data, fetch
):
    monkeypatch.setenv("FAIRTASK_DATA", str(real_data))
    assert all(Path(name).is_relative_to(real_data) for name in fetch().filenames)


def test_import_is_light():
    # Without fairtask/__init__.py, which loads the estimators and so torch.
    code = (
        "import sys, types\n"
        "package = sys.modules['fairtask'] = types.ModuleType('fairtask')\n"
        f"package.__path__ = [{str(Path(datasets.__file__).parents[1])!r}]\n"
        "import fairtask.datasets\n"
        "print(*sys.modules)"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert "fairtask.datasets._fetch" in loaded
    assert not {"pooch", "requests", "torch", "matplotlib"} & set(loaded)


# Downloads


class Server:
    """A local HTTP server; each address has a list of answers, the last one stays."""

    def __init__(self):
        self.answers = {}
        self.requests = Counter()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                outer.requests[self.path] += 1
                answers = outer.answers[self.path]
                status, content, length = (
                    answers.pop(0) if len(answers) > 1 else answers[0]
                )
                self.send_response(status)
                self.send_header("Content-Length", str(length))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *args):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"

    def serve(self, path, content, *, failures=()):
        """Answer with the content after the failures; return the address."""
        good = (200, content, len(content))
        self.answers[path] = [*failures, good]
        return self.url + path


@pytest.fixture
def waits(monkeypatch):
    """Make the pauses between two attempts a list instead of time."""
    pauses = []
    monkeypatch.setattr("pooch.core.time.sleep", pauses.append)
    return pauses


@pytest.fixture
def server(monkeypatch, waits):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = Server()
    thread = Thread(target=server.http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.http.shutdown()
    server.http.server_close()
    thread.join()
    # Connections of failed requests go while their warnings are still ignored.
    gc.collect()


CONTENT = b"age,income\n" + b"39,1\n" * 5000


def test_download(server, tmp_path, capsys):
    url = server.serve("/file.txt", CONTENT)
    file = RemoteFile("set/file.txt", url, sha256(CONTENT))
    path = fetch_file(file, tmp_path / "new" / "home")
    assert path == tmp_path / "new" / "home" / "set" / "file.txt"
    assert path.read_bytes() == CONTENT
    # Nothing else is left, and a progress bar was shown.
    assert list(path.parent.iterdir()) == [path]
    assert "100%" in capsys.readouterr().err


def test_download_happens_once(server, tmp_path):
    url = server.serve("/file.txt", CONTENT)
    file = RemoteFile("set/file.txt", url, sha256(CONTENT))
    assert fetch_file(file, tmp_path) == fetch_file(file, tmp_path)
    assert server.requests == {"/file.txt": 1}


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")
def test_download_can_be_read_by_whom_the_umask_allows(server, tmp_path):
    url = server.serve("/file.txt", CONTENT)
    file = RemoteFile("set/file.txt", url, sha256(CONTENT))
    before = os.umask(0o022)
    try:
        path = fetch_file(file, tmp_path)
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o644


def zipped(**members):
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as out:
        for name, content in members.items():
            out.writestr(f"{name}.csv", content)
    return archive.getvalue()


def test_download_of_a_member_of_an_archive(server, tmp_path):
    archive = zipped(full=CONTENT, small=CONTENT[:100])
    url = server.serve("/set.zip", archive)
    file = RemoteFile("set/full.csv", url, sha256(CONTENT), sha256(archive))
    path = fetch_file(file, tmp_path)
    assert path.read_bytes() == CONTENT
    assert list(path.parent.iterdir()) == [path]


def check_error_tells_what_to_do(error, file, tmp_path):
    message = str(error.value)
    for part in (file.url, str(tmp_path / file.path), "FAIRTASK_DATA", file.path):
        assert part in message
    assert not (tmp_path / file.path).exists()
    leftovers = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert leftovers == []


def test_download_with_wrong_checksum(server, waits, tmp_path):
    url = server.serve("/file.txt", b"captive portal: please log in")
    file = RemoteFile("set/file.txt", url, sha256(CONTENT))
    with pytest.raises(OSError, match="hash of downloaded file") as error:
        fetch_file(file, tmp_path)
    check_error_tells_what_to_do(error, file, tmp_path)
    assert server.requests == {"/file.txt": 1 + _fetch.RETRIES}
    assert len(waits) == _fetch.RETRIES


def test_download_with_wrong_member(server, tmp_path):
    archive = zipped(full=b"another table")
    url = server.serve("/set.zip", archive)
    file = RemoteFile("set/full.csv", url, sha256(CONTENT), sha256(archive))
    with pytest.raises(OSError, match=rf"full.csv .* expected {sha256(CONTENT)}") as e:
        fetch_file(file, tmp_path)
    check_error_tells_what_to_do(e, file, tmp_path)
    assert "put full.csv of it" in str(e.value)


# pooch leaves the connection of a failed request to the garbage collector.
leaves_connections = pytest.mark.filterwarnings(
    "ignore:unclosed <socket:ResourceWarning"
)


@leaves_connections
@pytest.mark.parametrize(
    "failure",
    [
        (503, b"", 0),
        # The connection breaks off after half of the file.
        (200, CONTENT[: len(CONTENT) // 2], len(CONTENT)),
        (200, b"damaged", len(b"damaged")),
    ],
    ids=["unavailable", "truncated", "damaged"],
)
def test_download_is_tried_again(server, waits, tmp_path, failure):
    url = server.serve("/file.txt", CONTENT, failures=[failure])
    file = RemoteFile("set/file.txt", url, sha256(CONTENT))
    assert fetch_file(file, tmp_path).read_bytes() == CONTENT
    assert server.requests == {"/file.txt": 2}
    assert waits == [1]


@leaves_connections
def test_download_that_the_server_does_not_have(server, tmp_path):
    url = server.serve("/file.txt", CONTENT, failures=[(404, b"", 0)] * 3)
    file = RemoteFile("set/file.txt", url, sha256(CONTENT))
    with pytest.raises(OSError, match="404") as error:
        fetch_file(file, tmp_path)
    check_error_tells_what_to_do(error, file, tmp_path)


@pytest.fixture
def refused(monkeypatch, waits):
    """Return an address on this machine at which nobody answers."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    # Bound, but not listening: nobody else can answer there.
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{unused.getsockname()[1]}"


@pytest.mark.parametrize(
    ("fetch", "name"),
    [
        (fetch_adult, "adult.data"),
        (fetch_bank_marketing, "bank-full.csv"),
        (fetch_compas, "compas-scores-two-years.csv"),
    ],
)
def test_no_network(monkeypatch, refused, waits, tmp_path, fetch, name):
    module, constant = FILES[name]
    file = replace(getattr(module, constant), url=f"{refused}/{name}")
    monkeypatch.setattr(module, constant, file)
    with pytest.raises(OSError, match="Could not download") as error:
        fetch(data_home=tmp_path)
    check_error_tells_what_to_do(error, file, tmp_path)
    assert len(waits) == _fetch.RETRIES


def test_data_home_that_is_a_file(refused, tmp_path, file):
    home = tmp_path / "home"
    home.write_text("not a folder")
    with pytest.raises(OSError, match=r"Could not download .* FAIRTASK_DATA"):
        fetch_file(file, home)


@pytest.mark.real_data
@pytest.mark.parametrize("fetch", FETCHERS)
def test_downloaded_data_are_those_that_were_there(
    monkeypatch, server, real_data, tmp_path, fetch
):
    for name, (module, constant) in FILES.items():
        file = getattr(module, constant)
        content = (real_data / file.path).read_bytes()
        archive_sha256 = None
        # The copy of COMPAS may lack the personal columns, so its own checksum.
        checksum = sha256(content)
        if name == "bank-full.csv":
            archive = io.BytesIO()
            with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as out:
                out.writestr(name, content)
            content, archive_sha256 = archive.getvalue(), sha256(archive.getvalue())
        served = RemoteFile(
            file.path, server.serve(f"/{name}", content), checksum, archive_sha256
        )
        monkeypatch.setattr(module, constant, served)
    downloaded, there = fetch(data_home=tmp_path), load(fetch, real_data)
    pd.testing.assert_frame_equal(downloaded.data, there.data)
    pd.testing.assert_series_equal(downloaded.target, there.target)
    fetch(data_home=tmp_path)
    assert set(server.requests.values()) == {1}


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["adult.data", "adult.test", "bank-full.csv"])
def test_checksums_are_those_of_the_original_files(real_data, name):
    module, constant = FILES[name]
    file = getattr(module, constant)
    assert pooch.file_hash(str(real_data / file.path)) == file.sha256


# Files that are not what they should be

TINY = TableFormat(
    columns=("age", "job", "spare", "y"),
    label="y",
    labels={"no": 0, "yes": 1},
    numeric=("age",),
    n_rows=3,
    n_positives=1,
    used=("age", "job"),
    incomplete=("job",),
    missing="?",
)
GOOD = "age,job,spare,y\n39,clerk,,no\n41,?,,yes\n18,actor,,no\n"


def read_tiny(tmp_path, text, **changes):
    path = tmp_path / "tiny.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_table(path, replace(TINY, **changes))


def check_tiny(table):
    expected = pd.DataFrame(
        {"age": [39, 41, 18], "job": ["clerk", None, "actor"], "y": [0, 1, 0]}
    )
    pd.testing.assert_frame_equal(table, expected)


def test_table(tmp_path):
    check_tiny(read_tiny(tmp_path, GOOD))


def test_table_as_uci_writes_it(tmp_path):
    text = "|1x3 Cross validator\n39, clerk, , no\n41, ?, , yes\n18, actor, , no\n\n"
    check_tiny(read_tiny(tmp_path, text, header=False))
    text = '"age";"job";"spare";"y"\n39;"clerk";1;"no"\n41;"?";2;"yes"\n18;actor;;no\n'
    check_tiny(read_tiny(tmp_path, text, delimiter=";"))


def test_table_with_missing_numbers(tmp_path):
    table = read_tiny(tmp_path, GOOD.replace("41", "?"), incomplete=("age", "job"))
    assert table["age"].dtype == np.float64
    np.testing.assert_array_equal(table["age"], [39, np.nan, 18])


@pytest.mark.parametrize("second", ["age", "age.1"])
def test_table_with_a_name_twice_uses_the_first(tmp_path, second):
    text = f"age,job,{second},y\n39,clerk,1,no\n41,?,2,yes\n18,actor,3,no\n"
    check_tiny(read_tiny(tmp_path, text, columns=("age", "job", "age", "y")))


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", r"expected a header of 4 columns, found 0, lacking \['age'"),
        ("<html>Moved</html>", r"found 1, lacking .*, unknown \['<html>"),
        (
            GOOD.replace("spare", "start"),
            r"lacking \['spare'\], unknown \['start'\]",
        ),
        (GOOD.replace("age,job", "job,age"), r"in this order: \['job', 'age'"),
        (GOOD.replace(",spare", ",spare.1"), r"unknown \['spare.1'\]"),
        (GOOD.rpartition("18")[0], "expected 3 rows, found 2"),
        (GOOD + "39,clerk,,no\n", "expected 3 rows, found 4"),
        (GOOD[: GOOD.index("age")], "found 0"),
        (GOOD.replace("18,actor,,no", "18,ac"), "4 fields, found 2 in line 4"),
        (GOOD.replace("clerk", "clerk,chief"), "4 fields, found 5 in line 2"),
        (
            GOOD.replace("41", "4l"),
            r"column `age`: expected whole numbers, found '4l' in line 3 \(1 such",
        ),
        (GOOD.replace("41", "41.5"), "column `age`.*'41.5' in line 3"),
        (GOOD.replace("41", "nan"), "column `age`.*'nan' in line 3"),
        (GOOD.replace("41", "inf"), "column `age`.*'inf' in line 3"),
        (GOOD.replace("41", "1e30"), "column `age`.*'1e30' in line 3"),
        (GOOD.replace("41", ""), "column `age`: expected a value, found '' in line 3"),
        (GOOD.replace("41", "?"), r"column `age`: expected a value, found '\?'"),
        (GOOD.replace("clerk", ""), "column `job`: expected a value, found '' in"),
        (GOOD.replace("yes", "Yes"), "column `y`: expected no or yes, found 'Yes'"),
        (GOOD.replace("yes", "?"), r"column `y`: expected no or yes, found '\?'"),
        (GOOD.replace("no\n18", "yes\n18").replace("yes", "no"), "positives"),
        (GOOD.replace("yes", "no"), "expected 1 positives in `y`, found 0"),
        (GOOD.encode("utf-16"), "expected text of fields separated by ','"),
        (b"\x1f\x8b\x08\x00\xff\xfe", "expected text of fields"),
        ("x" * 200_000, "expected text of fields .* field limit"),
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


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "kept", "match"),
    [
        ("adult.data", 20_000, "expected 32,561 rows, found 20,000"),
        ("adult.test", 10_001, "expected 16,281 rows, found 10,000"),
        ("bank-full.csv", 4_522, "expected 45,211 rows, found 4,521"),
        ("compas-scores-two-years.csv", 1_001, "expected 7,214 rows, found 1,000"),
    ],
)
def test_truncated_file(own_copy, name, kept, match):
    module, constant = FILES[name]
    path = own_copy / getattr(module, constant).path
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:kept]))
    with pytest.raises(ValueError, match=f"{name}: {match}"):
        FETCHER_OF[name](data_home=own_copy)


@pytest.mark.real_data
@pytest.mark.parametrize("name", FILES)
def test_empty_file(own_copy, name):
    module, constant = FILES[name]
    (own_copy / getattr(module, constant).path).write_bytes(b"")
    with pytest.raises(ValueError, match=f"{name}: expected .*, found 0"):
        FETCHER_OF[name](data_home=own_copy)


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "old", "new", "match"),
    [
        ("adult.data", "39, State-gov", "thirty, State-gov", "`age`.*'thirty'"),
        ("adult.data", "<=50K\n", "poor\n", "`income`: expected <=50K or >50K"),
        ("adult.data", "<=50K\n", ">50K\n", "7,841 positives.*found 7,842"),
        ("adult.data", "White, Male", "?, Male", "`race`: expected a value"),
        # The labels of the test part end in a dot.
        ("adult.test", "<=50K.", "<=50K", "expected <=50K. or >50K., found '<=50K'"),
        ("bank-full.csv", ";2143;", ";2143,5;", "`balance`.*'2143,5' in line 2"),
        ("bank-full.csv", ';"no"\n', ';"yes"\n', "5,289 positives in `y`"),
        ("bank-full.csv", '"duration"', '"seconds"', r"lacking \['duration'\]"),
        ("compas-scores-two-years.csv", "two_year_recid", "label", "unknown"),
        ("compas-scores-two-years.csv", ",0,0\n", ",0,1\n", "found 3,252"),
        ("compas-scores-two-years.csv", ",69,", ",sixty-nine,", "`age`: expected"),
    ],
)
def test_damaged_file(own_copy, name, old, new, match):
    module, constant = FILES[name]
    path = own_copy / getattr(module, constant).path
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(ValueError, match=f"{name}: .*{match}"):
        FETCHER_OF[name](data_home=own_copy)


@pytest.mark.real_data
def test_parts_of_adult_in_each_others_place(own_copy):
    folder = own_copy / "adult"
    (folder / "adult.data").rename(folder / "spare")
    (folder / "adult.test").rename(folder / "adult.data")
    (folder / "spare").rename(folder / "adult.test")
    with pytest.raises(ValueError, match=r"adult\.data: .* found 16,281"):
        fetch_adult(data_home=own_copy)


@pytest.mark.real_data
def test_compas_as_propublica_publishes_it(own_copy):
    # ProPublica's header has two names twice; pandas renames the second.
    path = own_copy / _compas.FILE.path
    header, _, rest = path.read_text().partition("\n")
    original = ",".join(name.removesuffix(".1") for name in header.split(","))
    assert original.count(",priors_count") == 2
    path.write_text(f"{original}\n{rest}")
    copied = fetch_compas(data_home=own_copy).data
    path.write_text(f"{header}\n{rest}")
    pd.testing.assert_frame_equal(copied, fetch_compas(data_home=own_copy).data)


# Arguments of the fetchers


@pytest.mark.parametrize(
    ("fetch", "argument"),
    [
        (fetch_adult, {"dropna": "yes"}),
        (fetch_adult, {"return_X_y": 2}),
        (fetch_adult, {"data_home": 3}),
        (fetch_compas, {"return_X_y": None}),
        (fetch_compas, {"data_home": ["folder"]}),
        (fetch_bank_marketing, {"include_duration": "no"}),
        (fetch_bank_marketing, {"data_home": b"folder"}),
    ],
)
def test_fetcher_arguments(no_download, fetch, argument):
    (name,) = argument
    with pytest.raises(ValueError, match=f"'{name}' parameter of {fetch.__name__}"):
        fetch(**argument)


@pytest.mark.parametrize("fetch", FETCHERS)
def test_fetchers_take_keywords_only(fetch):
    with pytest.raises(TypeError, match="positional"):
        fetch("folder")


def test_all_names_are_public():
    assert sorted(datasets.__all__) == datasets.__all__
    assert {f.__name__ for f in FETCHERS} < set(datasets.__all__)


# The generator. Estimates may be five standard errors from the truth: a correct
# generator fails one such check in two million, and the seeds are fixed.


def within_five_errors(sample, truth):
    error = np.std(sample) / np.sqrt(len(sample))
    return abs(np.mean(sample) - truth) <= 5 * error


def bayes_classifier(X, truth):
    return (X @ truth.coef[0] > 0).astype(int)


@pytest.mark.parametrize("n_tasks", [1, 3])
@pytest.mark.parametrize("n_groups", [2, 4])
def test_generator_shapes(n_tasks, n_groups):
    X, y, z, truth = make_biased_classification(
        50,
        7,
        n_informative=3,
        n_tasks=n_tasks,
        n_groups=n_groups,
        return_truth=True,
        random_state=0,
    )
    labels = (50,) if n_tasks == 1 else (50, n_tasks)
    assert (X.shape, X.dtype) == ((50, 7), np.float64)
    assert (y.shape, y.dtype) == (labels, np.int64)
    assert (z.shape, z.dtype) == ((50,), np.int64)
    assert set(z) == set(range(n_groups))
    assert set(np.unique(y)) == {0, 1}
    assert (truth.unbiased_y.shape, truth.unbiased_y.dtype) == (labels, np.int64)
    assert truth.unbiased_proba.shape == truth.biased_proba.shape == labels
    assert truth.coef.shape == (n_tasks, 7)
    assert truth.group_centers.shape == (n_groups, 7)
    assert truth.group_weights.shape == truth.group_penalties.shape == (n_groups,)


def test_generator_is_deterministic():
    first = make_biased_classification(random_state=3)
    again = make_biased_classification(random_state=3)
    *with_truth, _ = make_biased_classification(random_state=3, return_truth=True)
    instance = make_biased_classification(random_state=np.random.RandomState(3))
    other = make_biased_classification(random_state=4)
    assert len(first) == 3
    for same in (again, with_truth, instance):
        for a, b in zip(first, same, strict=True):
            np.testing.assert_array_equal(a, b)
    for a, b in zip(first, other, strict=True):
        assert not np.array_equal(a, b)


def test_generator_leaves_the_global_state_alone():
    before = np.random.get_state()  # noqa: NPY002
    first, *_ = make_biased_classification(random_state=None)
    second, *_ = make_biased_classification(random_state=None)
    make_biased_classification(random_state=0)
    after = np.random.get_state()  # noqa: NPY002
    np.testing.assert_array_equal(before[1], after[1])
    assert before[2:] == after[2:]
    assert not np.array_equal(first, second)


@pytest.mark.parametrize("weights", [None, [0.7, 0.2, 0.1], np.array([0.5, 0, 0.5])])
def test_generator_group_shares(weights):
    _, _, z, truth = make_biased_classification(
        20_000, n_groups=3, group_weights=weights, return_truth=True, random_state=0
    )
    expected = np.full(3, 1 / 3) if weights is None else weights
    np.testing.assert_allclose(truth.group_weights, expected)
    for g in range(3):
        assert within_five_errors(z == g, expected[g])


@pytest.mark.parametrize("n_tasks", [1, 2])
def test_generator_flips_positives_of_the_higher_groups_only(n_tasks):
    X, y, z, truth = make_biased_classification(
        60_000,
        n_tasks=n_tasks,
        n_groups=3,
        label_bias=3.0,
        return_truth=True,
        random_state=0,
    )
    np.testing.assert_allclose(truth.group_penalties, [0, 1.5, 3])
    recorded = y.reshape(len(y), -1)
    unbiased = truth.unbiased_y.reshape(len(y), -1)
    log_odds = X @ truth.coef.T
    assert not recorded[unbiased == 0].any()
    np.testing.assert_array_equal(recorded[z == 0], unbiased[z == 0])
    for task in range(n_tasks):
        bins = np.digitize(log_odds[:, task], [-1, 0, 1, 2, 3])
        for g, penalty in enumerate([0, 1.5, 3]):
            observed = []
            for b in range(6):
                cell = (z == g) & (unbiased[:, task] == 1) & (bins == b)
                assert cell.sum() > 400
                flipped = 1 - recorded[cell, task]
                eta = log_odds[cell, task]
                rate = 1 - expit(eta - penalty) / expit(eta)
                assert within_five_errors(flipped - rate, 0)
                observed.append(flipped.mean())
            # The clearer a positive is, the less often it is lost.
            assert g == 0 or (np.diff(observed) < 0).all()


def test_generator_extremes_of_label_bias():
    _, y, _, truth = make_biased_classification(
        label_bias=0, return_truth=True, random_state=0
    )
    np.testing.assert_array_equal(y, truth.unbiased_y)
    np.testing.assert_array_equal(truth.biased_proba, truth.unbiased_proba)
    _, y, z, truth = make_biased_classification(
        label_bias=1e4, return_truth=True, random_state=0
    )
    assert not y[z == 1].any()
    assert not truth.biased_proba[z == 1].any()
    np.testing.assert_array_equal(y[z == 0], truth.unbiased_y[z == 0])


def test_generator_bias_changes_nothing_but_recorded_labels():
    X, _, z, truth = make_biased_classification(return_truth=True, random_state=0)
    other_X, _, other_z, other = make_biased_classification(
        label_bias=0.5, return_truth=True, random_state=0
    )
    np.testing.assert_array_equal(X, other_X)
    np.testing.assert_array_equal(z, other_z)
    np.testing.assert_array_equal(truth.unbiased_y, other.unbiased_y)


def test_generator_probabilities_follow_the_stated_model():
    X, _, z, truth = make_biased_classification(
        500, n_tasks=2, n_groups=3, return_truth=True, random_state=0
    )
    log_odds = X @ truth.coef.T
    np.testing.assert_allclose(truth.group_penalties, [0, 1, 2])
    np.testing.assert_allclose(truth.unbiased_proba, 1 / (1 + np.exp(-log_odds)))
    penalties = np.array([0, 1, 2])[z, None]
    expected = 1 / (1 + np.exp(penalties - log_odds))
    np.testing.assert_allclose(truth.biased_proba, expected)


def test_generator_labels_follow_their_probabilities():
    _, y, z, truth = make_biased_classification(
        60_000, return_truth=True, random_state=0
    )
    bins = np.digitize(truth.unbiased_proba, [0.2, 0.4, 0.6, 0.8])
    for g in (0, 1):
        for b in range(5):
            cell = (z == g) & (bins == b)
            residual = (truth.unbiased_y - truth.unbiased_proba)[cell]
            assert within_five_errors(residual, 0)
            assert within_five_errors((y - truth.biased_proba)[cell], 0)


def test_generator_features():
    X, _, z, truth = make_biased_classification(
        40_000,
        6,
        n_informative=4,
        n_groups=3,
        group_shift=2.0,
        return_truth=True,
        random_state=0,
    )
    expected = np.zeros((3, 6))
    expected[:, :4] = np.array([[-1.0], [0.0], [1.0]])
    np.testing.assert_allclose(truth.group_centers, expected)
    for g in range(3):
        for j in range(6):
            values = X[z == g, j]
            assert within_five_errors(values, expected[g, j])
            assert within_five_errors((values - expected[g, j]) ** 2, 1)
    assert not truth.coef[:, 4:].any()


def test_generator_unbiased_labels_are_independent_of_the_group():
    X, y, z, truth = make_biased_classification(
        40_000, class_sep=3.0, return_truth=True, random_state=0
    )
    assert truth.coef.sum() == pytest.approx(0)
    assert np.linalg.norm(truth.coef) == pytest.approx(3.0)
    log_odds = X @ truth.coef[0]
    grid = np.linspace(-40, 40, 8001)
    density = norm.pdf(grid, scale=3) * (grid[1] - grid[0])
    for g, penalty in enumerate([0, 2]):
        assert within_five_errors(log_odds[z == g], 0)
        assert within_five_errors(log_odds[z == g] ** 2, 9)
        assert within_five_errors(truth.unbiased_y[z == g], 0.5)
        assert within_five_errors(y[z == g], density @ expit(grid - penalty))


def rates(predicted, labels):
    """Return the true and the false positive rate."""
    return np.array([predicted[labels == 1].mean(), predicted[labels == 0].mean()])


def test_generator_unbiased_predictor_has_equal_rates():
    X, y, z, truth = make_biased_classification(
        40_000, return_truth=True, random_state=0
    )
    predicted = bayes_classifier(X, truth)
    # 10,000 samples a cell: a standard error of a gap is below 0.0071.
    gap = equalized_odds_difference(truth.unbiased_y, predicted, sensitive_features=z)
    assert gap < 0.036
    # With respect to the recorded labels it favours the group they disfavour: the
    # rates are 0.78 and 0.22 in group 0, 0.91 and 0.38 in group 1.
    first, last = (rates(predicted[z == g], y[z == g]) for g in (0, 1))
    assert (last - first > 0.08).all()


def test_generator_stricter_standard_lowers_both_rates():
    X, y, z, truth = make_biased_classification(
        40_000, return_truth=True, random_state=0
    )
    log_odds = X @ truth.coef[0]
    unbiased = truth.unbiased_y[z == 1]
    first = rates(log_odds[z == 0] > 0, y[z == 0])

    def last_group(threshold):
        """Return its gaps to the first group and agreement with unbiased labels."""
        predicted = log_odds[z == 1] > threshold
        gaps = rates(predicted, y[z == 1]) - first
        return gaps, (predicted == unbiased).mean()

    # Five standard errors: 4,500 samples in the smallest cell and 10,000 in those of
    # group 0 give 0.043 for a gap, 20,000 samples give 0.018 for an agreement.
    strict_gaps, strict_agreement = last_group(2)
    np.testing.assert_allclose(strict_gaps, [-0.278, -0.162], atol=0.043)
    assert strict_agreement == pytest.approx(0.640, abs=0.018)
    gaps, agreement = last_group(0.8)
    np.testing.assert_allclose(gaps, [0.011, -0.006], atol=0.043)
    assert agreement == pytest.approx(0.748, abs=0.018)
    fair_gaps, fair_agreement = last_group(0)
    np.testing.assert_allclose(fair_gaps, [0.128, 0.160], atol=0.043)
    assert fair_agreement == pytest.approx(0.778, abs=0.018)


def test_generator_perfect_predictor_on_x_reads_the_group():
    X, y, z, truth = make_biased_classification(
        40_000, return_truth=True, random_state=0
    )
    # Log-odds of group 1 given x: the centres differ by 1.5 in five features.
    of_last = expit(1.5 * X[:, :5].sum(axis=1))
    log_odds = X @ truth.coef[0]
    proba = (1 - of_last) * expit(log_odds) + of_last * expit(log_odds - 2)
    assert within_five_errors(of_last - z, 0)
    assert within_five_errors(y - proba, 0)
    assert within_five_errors((y - proba)[proba > 0.5], 0)
    first, last = (rates(proba[z == g] > 0.5, y[z == g]) for g in (0, 1))
    # Five standard errors of a rate on 4,500 samples are 0.038.
    np.testing.assert_allclose(first, [0.747, 0.203], atol=0.038)
    np.testing.assert_allclose(last, [0.531, 0.076], atol=0.038)


@pytest.mark.parametrize("shift", [0.0, 1.0, 2.0])
def test_generator_group_is_partly_readable(shift):
    X, _, z = make_biased_classification(10_000, group_shift=shift, random_state=0)
    accuracy = LogisticRegression().fit(X[:5000], z[:5000]).score(X[5000:], z[5000:])
    # Five standard errors of an accuracy on 5,000 samples are at most 0.036.
    assert accuracy == pytest.approx(norm.cdf(shift * np.sqrt(5) / 2), abs=0.036)


# Over 20 seeds the gap is 0.126 to 0.182, 0.159 on average.
@pytest.mark.parametrize("seed", range(5))
def test_generator_bias_shows_in_a_model(seed):
    X, y, z, truth = make_biased_classification(
        20_000, return_truth=True, random_state=seed
    )
    train, test = slice(0, 10_000), slice(10_000, None)

    def gap_and_auc(labels):
        model = LogisticRegression().fit(X[train], labels[train])
        gap = equalized_odds_difference(
            labels[test], model.predict(X[test]), sensitive_features=z[test]
        )
        return gap, roc_auc_score(labels[test], model.decision_function(X[test]))

    biased_gap, biased_auc = gap_and_auc(y)
    unbiased_gap, _ = gap_and_auc(truth.unbiased_y)
    assert biased_gap > 0.1
    # Five standard errors of a gap between rates of 2,500 samples each, near 0.78.
    assert unbiased_gap < 0.059
    # 0.864 to 0.878 over 20 seeds.
    assert 0.85 < biased_auc < 0.89


def test_generator_tasks_differ():
    _, y, _ = make_biased_classification(n_tasks=2, random_state=0)
    assert not np.array_equal(y[:, 0], y[:, 1])


def test_generator_large_log_odds_do_not_overflow():
    _, y, _, truth = make_biased_classification(
        class_sep=1e4, return_truth=True, random_state=0
    )
    assert np.isfinite(truth.unbiased_proba).all()
    assert np.isfinite(truth.biased_proba).all()
    assert not y[truth.unbiased_y == 0].any()


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"n_samples": 0}, "'n_samples' parameter"),
        ({"n_samples": 10.0}, "'n_samples' parameter"),
        ({"n_features": 1}, "'n_features' parameter"),
        ({"n_informative": 1}, "'n_informative' parameter"),
        ({"n_informative": 11}, "n_informative=11 and n_features=10"),
        ({"n_tasks": 0}, "'n_tasks' parameter"),
        ({"n_groups": 1}, "'n_groups' parameter"),
        ({"group_weights": 0.5}, "'group_weights' parameter"),
        ({"group_weights": [1.0]}, "2 probabilities that sum to 1"),
        ({"group_weights": [0.5, 0.6]}, "2 probabilities that sum to 1"),
        ({"group_weights": [1.5, -0.5]}, "2 probabilities that sum to 1"),
        ({"group_weights": [0.5, np.nan]}, "2 probabilities that sum to 1"),
        ({"label_bias": np.inf}, "'label_bias' parameter"),
        ({"label_bias": -0.1}, "'label_bias' parameter"),
        ({"group_shift": -1.0}, "'group_shift' parameter"),
        ({"class_sep": -1.0}, "'class_sep' parameter"),
        ({"class_sep": np.inf}, "'class_sep' parameter"),
        ({"return_truth": "yes"}, "'return_truth' parameter"),
        ({"random_state": "seed"}, "'random_state' parameter"),
    ],
)
def test_generator_arguments(arguments, match):
    with pytest.raises(ValueError, match=match):
        make_biased_classification(**arguments)
