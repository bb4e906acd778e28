"""Where the files of a data set are looked for, and downloads from a local server."""

import gc
import hashlib
import io
import os
import socket
import zipfile
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pandas as pd
import pooch
import pytest

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
FILE = "set/file.txt"
MEMBER = "set/full.csv"


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def zipped(**members):
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as out:
        for name, content in members.items():
            out.writestr(f"{name}.csv", content)
    return archive.getvalue()


@pytest.fixture
def set_source(monkeypatch):
    """Return a function that sets the address and the checksum of a file."""

    def set_source(path, url, content=CONTENT):
        monkeypatch.setitem(_fetch.SOURCES, path, (url, sha256(content)))

    return set_source


# Where files are looked for


@pytest.fixture
def no_download(monkeypatch):
    def refuse(url, sha256, target):
        raise OSError("downloads are switched off in this test")

    monkeypatch.setattr(_fetch, "_download", refuse)


def put(folder, content=CONTENT):
    path = folder / FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_argument_precedes_environment(monkeypatch, no_download, tmp_path):
    monkeypatch.setenv("FAIRTASK_DATA", str(tmp_path / "environment"))
    by_environment = put(tmp_path / "environment")
    by_argument = put(tmp_path / "argument")
    assert fetch_file(FILE, None) == by_environment
    assert fetch_file(FILE, tmp_path / "argument") == by_argument
    assert fetch_file(FILE, str(tmp_path / "argument")) == by_argument


@pytest.mark.parametrize("value", [None, ""])
def test_sklearn_data_home_without_environment(
    monkeypatch, no_download, tmp_path, value
):
    if value is None:
        monkeypatch.delenv("FAIRTASK_DATA", raising=False)
    else:
        monkeypatch.setenv("FAIRTASK_DATA", value)
    monkeypatch.setenv("SCIKIT_LEARN_DATA", str(tmp_path))
    path = put(tmp_path)
    assert fetch_file(FILE, None) == path


def test_home_folder_is_expanded(monkeypatch, no_download, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    path = put(tmp_path / "data")
    assert fetch_file(FILE, "~/data") == path


def test_file_that_is_there_is_used_whatever_its_checksum(
    no_download, set_source, tmp_path
):
    set_source(FILE, "http://127.0.0.1/file.txt")
    path = put(tmp_path, b"the same table without the personal columns")
    assert fetch_file(FILE, tmp_path) == path


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

    def serve(self, path, content=CONTENT, *, failures=()):
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


def check_error_says_what_to_do(error, path, folder):
    message = str(error.value)
    url, _ = _fetch.SOURCES[path]
    for part in (url, str(folder / path), "FAIRTASK_DATA", path):
        assert part in message
    assert not [left for left in folder.rglob("*") if left.is_file()]


def test_download(server, set_source, tmp_path, capsys):
    set_source(FILE, server.serve("/file.txt"))
    path = fetch_file(FILE, tmp_path / "new" / "home")
    assert path == tmp_path / "new" / "home" / "set" / "file.txt"
    assert path.read_bytes() == CONTENT
    # Nothing else is left, and a progress bar was shown.
    assert list(path.parent.iterdir()) == [path]
    assert "100%" in capsys.readouterr().err
    assert fetch_file(FILE, tmp_path / "new" / "home") == path
    assert server.requests == {"/file.txt": 1}


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")
def test_download_can_be_read_by_whom_the_umask_allows(server, set_source, tmp_path):
    set_source(FILE, server.serve("/file.txt"))
    before = os.umask(0o022)
    try:
        path = fetch_file(FILE, tmp_path)
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o644


def test_download_of_a_member_of_an_archive(server, set_source, tmp_path):
    archive = zipped(full=CONTENT, small=CONTENT[:100])
    set_source(MEMBER, server.serve("/set.zip", archive), archive)
    path = fetch_file(MEMBER, tmp_path)
    assert path.read_bytes() == CONTENT
    assert list(path.parent.iterdir()) == [path]


def test_download_of_an_archive_without_the_member(server, set_source, tmp_path):
    archive = zipped(small=CONTENT)
    set_source(MEMBER, server.serve("/set.zip", archive), archive)
    with pytest.raises(OSError, match=r"No such file .*put full\.csv of it") as error:
        fetch_file(MEMBER, tmp_path)
    check_error_says_what_to_do(error, MEMBER, tmp_path)


@pytest.mark.parametrize(
    ("path", "address"), [(FILE, "/file.txt"), (MEMBER, "/set.zip")]
)
def test_download_with_wrong_checksum(
    server, set_source, waits, tmp_path, path, address
):
    set_source(path, server.serve(address, b"captive portal: please log in"))
    with pytest.raises(OSError, match="hash of downloaded file") as error:
        fetch_file(path, tmp_path)
    check_error_says_what_to_do(error, path, tmp_path)
    assert server.requests == {address: 1 + _fetch.RETRIES}
    assert len(waits) == _fetch.RETRIES


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
def test_download_is_tried_again(server, set_source, waits, tmp_path, failure):
    set_source(FILE, server.serve("/file.txt", failures=[failure]))
    assert fetch_file(FILE, tmp_path).read_bytes() == CONTENT
    assert server.requests == {"/file.txt": 2}
    assert waits == [1]


@leaves_connections
def test_download_that_the_server_does_not_have(server, set_source, tmp_path):
    set_source(FILE, server.serve("/file.txt", failures=[(404, b"", 0)] * 3))
    with pytest.raises(OSError, match="404") as error:
        fetch_file(FILE, tmp_path)
    check_error_says_what_to_do(error, FILE, tmp_path)


@pytest.fixture
def refused(monkeypatch, waits):
    """Return an address on this machine at which nobody answers."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    # Bound, but not listening: nobody else can answer there.
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{unused.getsockname()[1]}"


@pytest.mark.parametrize("path", [ADULT, BANK, COMPAS])
def test_no_network(set_source, refused, waits, tmp_path, path):
    set_source(path, f"{refused}/file")
    with pytest.raises(OSError, match="Could not download") as error:
        FETCHER_OF[path](data_home=tmp_path)
    check_error_says_what_to_do(error, path, tmp_path)
    assert len(waits) == _fetch.RETRIES


def test_data_home_that_is_a_file(refused, set_source, tmp_path):
    set_source(FILE, refused)
    home = tmp_path / "home"
    home.write_text("not a folder")
    with pytest.raises(OSError, match=r"Could not download .* FAIRTASK_DATA"):
        fetch_file(FILE, home)


@pytest.mark.slow
@pytest.mark.real_data
@pytest.mark.parametrize("fetch", FETCHERS)
def test_downloaded_data_are_those_that_were_there(server, set_source, tmp_path, fetch):
    there = load(fetch)
    for path in [path for path, fetcher in FETCHER_OF.items() if fetcher is fetch]:
        address, content = f"/{path}", (real_folder() / path).read_bytes()
        if path == BANK:
            address, content = "/bank.zip", zipped(**{"bank-full": content})
        # The copy of COMPAS may lack the personal columns, so its own checksum.
        set_source(path, server.serve(address, content), content)
    downloaded = fetch(data_home=tmp_path)
    pd.testing.assert_frame_equal(downloaded.data, there.data)
    pd.testing.assert_series_equal(downloaded.target, there.target)
    fetch(data_home=tmp_path)
    assert set(server.requests.values()) == {1}


@pytest.mark.real_data
@pytest.mark.parametrize("path", [ADULT, ADULT_TEST])
def test_checksums_are_those_of_the_original_files(path):
    _, checksum = _fetch.SOURCES[path]
    assert pooch.file_hash(str(real_folder(path) / path)) == checksum
