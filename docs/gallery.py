"""Which examples can be run where the pages are built."""

import os
import re
from pathlib import Path
from urllib.error import URLError

from sphinx.util import logging

from fairtask import datasets

EXAMPLES = Path(__file__).parents[1] / "examples"


def examples_to_run():
    """Return a pattern of the examples whose data and weights can be had.

    The others are shown without their output; a line of the build says so.
    """
    cannot_run = re.compile("|".join(_missing()) or "(?!)")
    names = {
        path.stem: bool(cannot_run.search(path.read_text(encoding="utf-8")))
        for path in sorted(EXAMPLES.glob("plot_*.py"))
    }
    skipped = [name for name, is_skipped in names.items() if is_skipped]
    if skipped:
        logging.getLogger(__name__).info(
            "examples without output, because their data cannot be had here: %s",
            ", ".join(skipped),
        )
    return "|".join(re.escape(n) for n in names if n not in skipped) or "(?!)"


def _missing():
    """Yield a pattern of each thing that examples use and that cannot be had here."""
    for name in ("fetch_adult", "fetch_bank_marketing", "fetch_compas"):
        try:
            getattr(datasets, name)()
        except (OSError, URLError, ValueError):
            yield name
    try:
        datasets.fetch_fairface(subset="test")
    except (OSError, URLError, ValueError):
        yield "fetch_fairface"
    else:
        if not os.environ.get("FAIRTASK_WEIGHTS"):
            yield "FAIRTASK_WEIGHTS"
