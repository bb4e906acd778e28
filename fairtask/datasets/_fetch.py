"""Find the files of a data set, or download them."""

import os
import shutil
import tempfile
from pathlib import Path

from sklearn.datasets import get_data_home

__all__ = ["fetch_file", "find_data_home"]

ENVIRONMENT_VARIABLE = "FAIRTASK_DATA"

_UCI = "https://archive.ics.uci.edu/ml/machine-learning-databases"
_PROPUBLICA = "https://raw.githubusercontent.com/propublica/compas-analysis/master"

# Path of each file inside the data home: address and SHA-256 checksum of its source,
# which is the file itself or a zip archive that holds it.
SOURCES = {
    "adult/adult.data": (
        f"{_UCI}/adult/adult.data",
        "5b00264637dbfec36bdeaab5676b0b309ff9eb788d63554ca0a249491c86603d",
    ),
    "adult/adult.test": (
        f"{_UCI}/adult/adult.test",
        "a2a9044bc167a35b2361efbabec64e89d69ce82d9790d2980119aac5fd7e9c05",
    ),
    "bank/bank-full.csv": (
        f"{_UCI}/00222/bank.zip",
        "99d7e8eb12401ed278b793984423915411ea8df099e1795f9fefe254f513fe5e",
    ),
    "compas/compas-scores-two-years.csv": (
        f"{_PROPUBLICA}/compas-scores-two-years.csv",
        "c451db85908b2f7fef1d83203bedf6b71ecda0d5af468d82ae62178f91d0cc7d",
    ),
}
# A failed download is tried again twice, after a pause of one and of two seconds.
RETRIES = 2


def fetch_file(path: str, data_home: str | os.PathLike[str] | None) -> Path:
    """Find a file in the data home, and download it if it is missing.

    An existing file is returned whatever its checksum. Its contents are checked when it
    is read, so that a copy may differ in columns that are not used.

    Parameters
    ----------
    path : str
        Path of the file inside the data home, a key of `SOURCES`.
    data_home : str, path-like or None
        See `find_data_home`.
    """
    target = find_data_home(data_home) / path
    if target.is_file():
        return target
    url, sha256 = SOURCES[path]
    try:
        _download(url, sha256, target)
    # ValueError is pooch's error for a wrong checksum.
    except (OSError, ValueError) as error:
        content = f"{target.name} of it" if url.endswith(".zip") else "the file"
        raise OSError(
            f"Could not download {url} ({error}). To do without the network, "
            f"put {content} at {target}, or set {ENVIRONMENT_VARIABLE} to a folder "
            f"that holds it as {path}."
        ) from error
    return target


def find_data_home(data_home: str | os.PathLike[str] | None) -> Path:
    """Return the folder of all data sets.

    None stands for the environment variable ``FAIRTASK_DATA`` and, where that is not
    set, for scikit-learn's data home.
    """
    if data_home is None:
        data_home = os.environ.get(ENVIRONMENT_VARIABLE) or get_data_home()
    return Path(data_home).expanduser()


def _download(url: str, sha256: str, target: Path) -> None:
    # Imported here because users who have the files do not need pooch.
    import pooch

    target.parent.mkdir(parents=True, exist_ok=True)
    # The folder lies next to the target and the file is renamed at the end: another
    # process sees either no file or all of it.
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".download-") as folder:
        name = url.rpartition("/")[2]
        source = pooch.create(
            path=folder,
            base_url="",
            registry={name: f"sha256:{sha256}"},
            urls={name: url},
            retry_if_failed=RETRIES,
        )
        downloader = pooch.HTTPDownloader(progressbar=True)
        if name.endswith(".zip"):
            unzip = pooch.Unzip(members=[target.name], extract_dir="members")
            source.fetch(name, processor=unzip, downloader=downloader)
            downloaded = Path(folder, "members", target.name)
        else:
            downloaded = Path(source.fetch(name, downloader=downloader))
        # A copy, because pooch makes files that only their owner can read.
        copy = Path(folder, "copy")
        shutil.copyfile(downloaded, copy)
        copy.replace(target)
