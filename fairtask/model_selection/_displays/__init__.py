"""Figures in the form of scikit-learn's displays.

Numbers are kept in the object, and `plot` draws them, again if need be.
"""
