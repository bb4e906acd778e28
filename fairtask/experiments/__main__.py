"""Command line: ``python -m fairtask.experiments``."""

import signal
import sys
import threading
from typing import Any

from fairtask.experiments._command_line import main


def _interrupt(*_: Any) -> None:
    # joblib's threads find their processes gone, and would print that they do.
    threading.excepthook = lambda _: None
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGINT, _interrupt)
    sys.exit(main())
