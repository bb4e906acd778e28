"""Where the files of a data set are looked for, and downloads without a network."""

import hashlib
import io
import os
import zipfile

import pandas as pd
import pooch
import pytest
import requests

from fairtask.datasets import _fetch
from fairtask.datasets._fetch import fetch_file
from tests._datasets import (
    ADULT,
    ADULT_TEST,
    BANK,
    COMPAS,
    FETCHER_OF,
    FETCHERS,
    load,
    real_folder,
)

CONTENT = b"age,income\n" + b"39,1\n" * 5000
FILE, URL = "set/file.txt", "https://example.org/file.txt"
MEMBER, ARCHIVE = "set/full.csv", "https://example.org/set.zip"


def zipped(**members):
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as out:
        for name, content in members.items():
            out.writestr(f"{name}.csv", content)
    return archive.getvalue()


class Network:
    """Answers requests in place of the network, and records them and the pauses.

    The answers of an address are contents, numbers of errors, or exceptions. The last
    one stays.
    """

    def __init__(self, monkeypatch):
        self.answers, self.requests, self.pauses = {}, [], []
        self._monkeypatch = monkeypatch
        monkeypatch.setattr(requests, "get", self.get)
        monkeypatch.setattr("pooch.core.time.sleep", self.pauses.append)

    def serve(self, path, url, content=CONTENT, *, failures=()):
        """Make an address the source of a file; answer with it after the failures."""
        source = (url, hashlib.sha256(content).hexdigest())
        self._monkeypatch.setitem(_fetch.SOURCES, path, source)
        self.answers[url] = [*failures, content]

    def get(self, url, **options):
        self.requests.append(url)
        answers = self.answers[url]
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Exception):
            raise answer
        response = requests.Response()
        response.status_code = answer if isinstance(answer, int) else 200
        content = b"" if isinstance(answer, int) else answer
        response.raw = io.BytesIO(content)
        response.headers["content-length"] = str(len(content))
        return response


@pytest.fixture(autouse=True)
def network(monkeypatch):
    return Network(monkeypatch)


# Where files are looked for


def put(folder, content=CONTENT):
    path = folder / FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_argument_precedes_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("FAIRTASK_DATA", str(tmp_path / "environment"))
    by_environment = put(tmp_path / "environment")
    by_argument = put(tmp_path / "argument")
    assert fetch_file(FILE, None) == by_environment
    assert fetch_file(FILE, tmp_path / "argument") == by_argument
    assert fetch_file(FILE, str(tmp_path / "argument")) == by_argument


@pytest.mark.parametrize("value", [None, ""])
def test_sklearn_data_home_without_environment(monkeypatch, tmp_path, value):
    if value is None:
        monkeypatch.delenv("FAIRTASK_DATA", raising=False)
    else:
        monkeypatch.setenv("FAIRTASK_DATA", value)
    monkeypatch.setenv("SCIKIT_LEARN_DATA", str(tmp_path))
    path = put(tmp_path)
    assert fetch_file(FILE, None) == path


def test_home_folder_is_expanded(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    path = put(tmp_path / "data")
    assert fetch_file(FILE, "~/data") == path


def test_file_that_is_there_is_used_whatever_its_checksum(network, tmp_path):
    network.serve(FILE, URL)
    path = put(tmp_path, b"the same table without the personal columns")
    assert fetch_file(FILE, tmp_path) == path


# Downloads


def check_error_says_what_to_do(error, path, folder):
    message = str(error.value)
    url, _ = _fetch.SOURCES[path]
    for part in (url, str(folder / path), "FAIRTASK_DATA", path):
        assert part in message
    assert not [left for left in folder.rglob("*") if left.is_file()]


def test_download(network, tmp_path, capsys):
    network.serve(FILE, URL)
    path = fetch_file(FILE, tmp_path / "new" / "home")
    assert path == tmp_path / "new" / "home" / "set" / "file.txt"
    assert path.read_bytes() == CONTENT
    # Nothing else is left, and a progress bar was shown.
    assert list(path.parent.iterdir()) == [path]
    assert "100%" in capsys.readouterr().err
    assert fetch_file(FILE, tmp_path / "new" / "home") == path
    assert network.requests == [URL]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")
def test_download_can_be_read_by_whom_the_umask_allows(network, tmp_path):
    network.serve(FILE, URL)
    before = os.umask(0o022)
    try:
        path = fetch_file(FILE, tmp_path)
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o644


def test_download_of_a_member_of_an_archive(network, tmp_path):
    network.serve(MEMBER, ARCHIVE, zipped(full=CONTENT, small=CONTENT[:100]))
    path = fetch_file(MEMBER, tmp_path)
    assert path.read_bytes() == CONTENT
    assert list(path.parent.iterdir()) == [path]


def test_download_of_an_archive_without_the_member(network, tmp_path):
    network.serve(MEMBER, ARCHIVE, zipped(small=CONTENT))
    with pytest.raises(OSError, match=r"No such file .*put full\.csv of it") as error:
        fetch_file(MEMBER, tmp_path)
    check_error_says_what_to_do(error, MEMBER, tmp_path)


@pytest.mark.parametrize(
    "failure",
    [503, requests.ConnectionError("broken"), CONTENT[:100], b"damaged"],
    ids=["unavailable", "broken", "truncated", "damaged"],
)
def test_download_is_tried_again(network, tmp_path, failure):
    network.serve(FILE, URL, failures=[failure])
    assert fetch_file(FILE, tmp_path).read_bytes() == CONTENT
    assert network.requests == [URL, URL]
    assert network.pauses == [1]


@pytest.mark.parametrize("path", [ADULT, BANK, COMPAS])
@pytest.mark.parametrize(
    ("answer", "match"),
    [
        (404, "404"),
        (requests.ConnectionError("no network"), "no network"),
        (b"captive portal: please log in", "hash of downloaded file"),
    ],
)
def test_failed_download(network, tmp_path, path, answer, match):
    url, _ = _fetch.SOURCES[path]
    network.answers[url] = [answer]
    with pytest.raises(OSError, match=f"Could not download .*{match}") as error:
        FETCHER_OF[path](data_home=tmp_path)
    check_error_says_what_to_do(error, path, tmp_path)
    assert network.requests == [url] * (1 + _fetch.RETRIES)
    assert len(network.pauses) == _fetch.RETRIES


def test_data_home_that_is_a_file(network, tmp_path):
    network.serve(FILE, URL)
    home = tmp_path / "home"
    home.write_text("not a folder")
    with pytest.raises(OSError, match=r"Could not download .* FAIRTASK_DATA"):
        fetch_file(FILE, home)


@pytest.mark.slow
@pytest.mark.real_data
@pytest.mark.parametrize("fetch", FETCHERS)
def test_downloaded_data_are_those_that_were_there(network, tmp_path, fetch):
    there = load(fetch)
    for path in [path for path, fetcher in FETCHER_OF.items() if fetcher is fetch]:
        content = (real_folder() / path).read_bytes()
        if path == BANK:
            content = zipped(**{"bank-full": content})
        # The copy of COMPAS may lack the personal columns, so its own checksum.
        network.serve(path, _fetch.SOURCES[path][0], content)
    downloaded = fetch(data_home=tmp_path)
    pd.testing.assert_frame_equal(downloaded.data, there.data)
    pd.testing.assert_series_equal(downloaded.target, there.target)
    fetch(data_home=tmp_path)
    assert len(network.requests) == len(there.filenames)


@pytest.mark.real_data
@pytest.mark.parametrize("path", [ADULT, ADULT_TEST])
def test_checksums_are_those_of_the_original_files(path):
    _, checksum = _fetch.SOURCES[path]
    assert pooch.file_hash(str(real_folder(path) / path)) == checksum
