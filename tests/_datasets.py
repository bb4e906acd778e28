"""The fetchers, their files, and the folder of the real data."""

import functools
import os
from pathlib import Path

import pytest

from fairtask.datasets import fetch_adult, fetch_bank_marketing, fetch_compas

ADULT, ADULT_TEST = "adult/adult.data", "adult/adult.test"
BANK = "bank/bank-full.csv"
COMPAS = "compas/compas-scores-two-years.csv"
FETCHER_OF = {
    ADULT: fetch_adult,
    ADULT_TEST: fetch_adult,
    BANK: fetch_bank_marketing,
    COMPAS: fetch_compas,
}
FETCHERS = [fetch_adult, fetch_compas, fetch_bank_marketing]


def real_folder(*paths):
    """Return the folder of the real data, or skip if it lacks one of the files."""
    folder = os.environ.get("FAIRTASK_DATA")
    if not folder:
        pytest.skip("FAIRTASK_DATA is not set")
    for path in paths:
        if not Path(folder, path).is_file():
            pytest.skip(f"FAIRTASK_DATA has no {path}")
    return Path(folder)


@functools.cache
def load(fetch, **arguments):
    """Read the real data once; the tests do not change them."""
    paths = [path for path, fetcher in FETCHER_OF.items() if fetcher is fetch]
    return fetch(data_home=real_folder(*paths), **arguments)
