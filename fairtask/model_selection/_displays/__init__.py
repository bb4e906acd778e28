"""Figures in the form of scikit-learn's displays."""
