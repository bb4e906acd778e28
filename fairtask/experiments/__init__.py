"""Comparisons of methods, on the data of the paper or yours, from the command line.

The paper is "Learning fair latent representation with multi-task deep learning".
``python -m fairtask.experiments run`` trains and saves predictions, ``ablate`` does so
over a grid of the weight of the task, and ``report`` makes tables and figures of the
saved runs. `Method` adds a row to the tables.
"""

from fairtask.experiments._methods import Method, Setting

__all__ = ["Method", "Setting"]
