"""The representation in two dimensions."""

from numbers import Integral
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from sklearn.preprocessing import StandardScaler
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import _num_samples, check_is_fitted

from fairtask._columns import as_column, exact_names, read_number_array
from fairtask._frames import check_n_rows, check_same_rows
from fairtask._labels import encode_labels
from fairtask._sensitive import encode_sensitive_features
from fairtask._validation import (
    check_distinct,
    check_one_of,
    named_in_errors,
    read_random_state,
)
from fairtask.model_selection._displays._shared import (
    MAX_NAMED,
    draw_group_panels,
    group_name,
    styles,
)

__all__ = ["LatentDisplay"]

AXIS_NAMES = {"pca": "principal component", "tsne": "t-SNE"}


class LatentDisplay:
    """Representation in two dimensions: a panel per attribute and class.

    Each panel shows the samples of one class, with a colour and a marker per group, so
    that the class does not explain differences between the groups in a panel. Make it
    with `from_estimator`.

    Parameters
    ----------
    coordinates : ndarray of shape (n_samples, 2)
        Position of each sample.
    classes : ndarray of shape (n_samples,)
        Class of each sample.
    sensitive : DataFrame of shape (n_samples, n_attributes)
        Group of each sample, None where unknown.
    method : {"pca", "tsne"}
        Method behind the coordinates, for the axes.

    Attributes
    ----------
    axes_ : ndarray of shape (n_attributes, n_classes)
        Axes of the panels.
    figure_ : Figure

    Examples
    --------
    >>> from fairtask import AuxiliaryFairnessClassifier
    >>> from fairtask.datasets import make_biased_classification
    >>> from fairtask.model_selection import LatentDisplay
    >>> X, y, z = make_biased_classification(n_samples=1_000, random_state=0)
    >>> clf = AuxiliaryFairnessClassifier(max_epochs=3, random_state=0)
    >>> clf.fit(X, y, sensitive_features=z)
    AuxiliaryFairnessClassifier(max_epochs=3, random_state=0)
    >>> LatentDisplay.from_estimator(clf, X, y, sensitive_features=z).axes_.shape
    (1, 2)
    """

    def __init__(
        self, coordinates: np.ndarray, classes: np.ndarray, sensitive: Any, method: str
    ) -> None:
        check_one_of("method", method, tuple(AXIS_NAMES))
        coordinates = read_number_array(coordinates, "coordinates")
        if coordinates.shape[1:] != (2,):
            raise ValueError(
                "`coordinates` must have the shape (n_samples, 2); got "
                f"{coordinates.shape}."
            )
        n_samples = len(coordinates)
        known = exact_names(
            as_column(classes, "classes"), "`classes`", "class labels of one type"
        )
        check_n_rows(classes, len(known), "classes", n_samples)
        if not isinstance(sensitive, pd.DataFrame):
            raise ValueError(
                "`sensitive` must be a DataFrame with a column for each attribute; got "
                f"{type(sensitive).__name__}."
            )
        check_n_rows(sensitive, len(sensitive), "sensitive", n_samples)
        check_distinct(sensitive.columns, "sensitive")
        self.coordinates = coordinates
        self.classes = known.to_numpy()
        self.sensitive = sensitive
        self.method = method

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any,
        *,
        sensitive_features: Any,
        method: Literal["pca", "tsne"] = "pca",
        max_samples: Any = 2000,
        random_state: Any = 0,
        ax: Any = None,
    ) -> Self:
        """Draw ``transform(X)`` of a fitted estimator.

        Parameters
        ----------
        estimator : estimator
            Fitted, with `transform`.
        X : array-like of shape (n_samples, n_features)
            Samples.
        y : array-like of shape (n_samples,)
            Their classes.
        sensitive_features : array-like of shape (n_samples,) or \
                (n_samples, n_attributes)
            Group of each sample.
        method : {"pca", "tsne"}, default="pca"
            Principal components of the standardised representation, or t-SNE, whose
            distances between clusters have no meaning.
        max_samples : int, default=2000
            Number of samples to draw at random if there are more.
        random_state : int, RandomState or None, default=0
            Seed of the random samples, and of the method.
        ax : array-like of Axes, default=None
            See `plot`.
        """
        with named_in_errors("estimator"):
            check_is_fitted(estimator)
        check_one_of("method", method, ("pca", "tsne"))
        if not isinstance(max_samples, Integral) or max_samples < 2:
            raise ValueError(
                f"`max_samples` must be an integer of at least 2; got {max_samples!r}."
            )
        check_same_rows({"X": X, "y": y, "sensitive_features": sensitive_features})
        with named_in_errors("X"):
            n_samples = _num_samples(X)
        if sensitive_features is None:
            raise ValueError("`sensitive_features` must hold groups; got None.")
        codes, task = encode_labels(y, n_samples=n_samples)
        if task.is_multioutput:
            raise ValueError(
                f"`y` must be the labels of one task; got {len(task.names)} columns."
            )
        sensitive = encode_sensitive_features(sensitive_features, n_samples=n_samples)
        rng = read_random_state(random_state)
        rows = np.arange(n_samples)
        if n_samples > max_samples:
            rows = rng.choice(rows, size=max_samples, replace=False)
        h = np.asarray(estimator.transform(_safe_indexing(X, rows)))
        h = StandardScaler().fit_transform(h)
        if h.shape[1] == 1:  # the figure has two dimensions
            h = np.column_stack([h, np.zeros(len(h))])
        reducer = PCA(2, random_state=rng)
        if method == "tsne":
            perplexity = min(30, (len(rows) - 1) / 3)
            reducer = TSNE(2, perplexity=perplexity, init="pca", random_state=rng)
        return cls(
            reducer.fit_transform(h),
            task.decode(codes[rows]),
            sensitive.take(rows).decode(),
            method,
        ).plot(ax=ax)

    def plot(self, ax: Any = None) -> Self:
        """Draw the samples.

        Parameters
        ----------
        ax : array-like of Axes, default=None
            Axes to draw in, one for each panel. None: make a figure.
        """
        name = AXIS_NAMES[self.method]
        self.figure_, self.axes_ = draw_group_panels(
            self._draw_panel,
            ax,
            list(self.sensitive.columns),
            list(pd.factorize(self.classes, sort=True)[1]),
            labels=(f"{name} 1", f"{name} 2"),
            markerscale=1.5,
            size=(3.8, 3.4),
            sharex=True,
            sharey=True,
        )
        return self

    def _draw_panel(self, ax: Any, attribute: Any, c: Any) -> None:
        groups = self.sensitive[attribute]
        in_class = self.classes == c
        named = groups.value_counts().index  # the largest first, without unknown ones
        if len(named) > MAX_NAMED:
            named = named[: MAX_NAMED - 1]
        series = [
            (group_name(group), in_class & (groups == group).to_numpy(), style)
            for group, style in zip(named, styles(len(named)), strict=True)
        ]
        rest = in_class & ~groups.isin(named).to_numpy()
        if rest.any():  # first, and so below the others
            grey = {"color": "0.75", "marker": "o"}
            series.insert(0, ("others and unknown", rest, grey))
        for label, rows, style in series:
            ax.scatter(
                *self.coordinates[rows].T,
                s=14,
                alpha=0.6,
                linewidths=0,
                label=label,
                color=style["color"],
                marker=style["marker"],
            )
