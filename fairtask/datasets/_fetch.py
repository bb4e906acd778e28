"""Where the files of a data set lie, and how a missing file gets there."""

import hashlib
import os
import shutil
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from sklearn.datasets import get_data_home

__all__ = ["RemoteFile", "fetch_file", "find_data_home"]

ENVIRONMENT_VARIABLE = "FAIRTASK_DATA"
RETRIES = 2
"""Downloads tried again after a failure, with a pause of 1, 2, ... seconds."""


@dataclass(frozen=True)
class RemoteFile:
    """A file of a data set and its original source.

    Attributes
    ----------
    path : str
        Where the file lies inside the data home, with ``/`` between the parts.
    url : str
        Address of the file, or of a zip archive that holds it.
    sha256 : str
        Checksum of the file.
    archive_sha256 : str or None
        Checksum of the archive; None where `url` is the file itself.
    """

    path: str
    url: str
    sha256: str
    archive_sha256: str | None = None


def fetch_file(file: RemoteFile, data_home: str | os.PathLike[str] | None) -> Path:
    """Find a file in the data home, or download it to there.

    A file that is there is returned as it is: its content is checked when it is
    read, so that a copy that differs in irrelevant columns is welcome.

    Parameters
    ----------
    file : RemoteFile
    data_home : str, path-like or None
        None stands for the environment variable ``FAIRTASK_DATA`` and, where that
        is not set, for scikit-learn's data home.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    OSError
        If the file is not there and cannot be downloaded.
    """
    target = find_data_home(data_home) / file.path
    if target.is_file():
        return target
    try:
        _download(file, target)
    # ValueError is pooch's error for a wrong checksum.
    except (OSError, ValueError) as error:
        content = "the file" if file.archive_sha256 is None else f"{target.name} of it"
        raise OSError(
            f"Could not download {file.url} ({error}). To do without the network, "
            f"put {content} at {target}, or set {ENVIRONMENT_VARIABLE} to a folder "
            f"that holds it as {file.path}."
        ) from error
    return target


def find_data_home(data_home: str | os.PathLike[str] | None) -> Path:
    """Return the folder of all data sets; see `fetch_file`."""
    if data_home is None:
        data_home = os.environ.get(ENVIRONMENT_VARIABLE) or get_data_home()
    return Path(data_home).expanduser()


def _download(file: RemoteFile, target: Path) -> None:
    # Not at the top: who has the files needs no download machinery.
    import pooch

    target.parent.mkdir(parents=True, exist_ok=True)
    # In a folder of its own next to the target, and renamed at the end: another
    # process sees either no file or all of it.
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".download-") as folder:
        name = file.url.rpartition("/")[2]
        source = pooch.Pooch(
            path=Path(folder),
            base_url="",
            registry={name: f"sha256:{file.archive_sha256 or file.sha256}"},
            urls={name: file.url},
            retry_if_failed=RETRIES,
        )
        downloaded = source.fetch(
            name, downloader=pooch.HTTPDownloader(progressbar=True)
        )
        checked = Path(folder) / "checked"
        if file.archive_sha256 is None:
            # Copied, because pooch makes files that only their owner can read.
            shutil.copyfile(downloaded, checked)
        else:
            with (
                zipfile.ZipFile(downloaded) as archive,
                archive.open(target.name) as member,
                checked.open("wb") as copy,
            ):
                shutil.copyfileobj(member, copy)
            found = hashlib.sha256(checked.read_bytes()).hexdigest()
            if found != file.sha256:
                raise ValueError(
                    f"{target.name} in the archive has the SHA-256 checksum {found}, "
                    f"expected {file.sha256}"
                )
        checked.replace(target)
