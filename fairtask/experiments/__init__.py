"""The paper's experiments, and yours, from the command line.

``python -m fairtask.experiments run`` trains, ``report`` makes tables and figures from
what was saved, ``ablate`` varies the weight of the task. `Method` adds a row.
"""

from fairtask.experiments._methods import Method, Setting

__all__ = ["Method", "Setting"]
