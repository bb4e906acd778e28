"""`python -m fairtask.experiments`."""

import sys

from fairtask.experiments._command_line import main

if __name__ == "__main__":
    sys.exit(main())
