"""Data sets of the fairness literature, and a generator of biased labels."""

from fairtask.datasets._adult import fetch_adult
from fairtask.datasets._bank import fetch_bank_marketing
from fairtask.datasets._compas import fetch_compas
from fairtask.datasets._fairface import fetch_fairface
from fairtask.datasets._synthetic import make_biased_classification

__all__ = [
    "fetch_adult",
    "fetch_bank_marketing",
    "fetch_compas",
    "fetch_fairface",
    "make_biased_classification",
]
