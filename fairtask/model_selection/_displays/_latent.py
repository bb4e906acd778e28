"""The representation in two dimensions."""

from numbers import Integral
from typing import Any, Literal, Self

import numpy as np
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from sklearn.preprocessing import StandardScaler
from sklearn.utils import _safe_indexing, check_random_state
from sklearn.utils.validation import _num_samples, check_is_fitted

from fairtask._labels import encode_labels
from fairtask._sensitive import encode_sensitive_features
from fairtask._validation import check_one_of
from fairtask.model_selection._displays._shared import (
    BESIDE,
    MAX_NAMED,
    group_name,
    make_axes,
    styles,
)

__all__ = ["LatentDisplay"]


class LatentDisplay:
    """Representation in two dimensions: a panel per attribute and class.

    Each panel has the samples of one class, with a colour and a marker per group: what
    differs between the groups there is not explained by the class.

    It is made by `from_estimator`.

    Parameters
    ----------
    coordinates : ndarray of shape (n_samples, 2)
    classes : ndarray of shape (n_samples,)
        Class of each sample.
    sensitive : DataFrame of shape (n_samples, n_attributes)
        Group of each sample, None where unknown.
    method : str
        For the axes.

    Attributes
    ----------
    axes_ : ndarray of shape (n_attributes, n_classes)
        Where it was drawn.
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
        self.coordinates = coordinates
        self.classes = classes
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
            Samples drawn at random if there are more.
        random_state : int, RandomState or None, default=0
            Seed of that draw, and of the method.
        ax : array-like of Axes, default=None
            Where to draw, an axes for each panel. None: in a new figure.

        Returns
        -------
        display : LatentDisplay

        Raises
        ------
        ValueError
            If an argument is not as described.
        """
        check_is_fitted(estimator)
        check_one_of("method", method, ("pca", "tsne"))
        if not isinstance(max_samples, Integral) or max_samples < 2:
            raise ValueError(
                f"`max_samples` must be an integer of at least 2; got {max_samples!r}."
            )
        n_samples = _num_samples(X)
        codes, task = encode_labels(y, n_samples=n_samples)
        if task.is_multioutput:
            raise ValueError(
                f"`y` must be the labels of one task; got {len(task.names)} columns."
            )
        sensitive = encode_sensitive_features(sensitive_features, n_samples=n_samples)
        rng = check_random_state(random_state)
        rows = np.arange(n_samples)
        if n_samples > max_samples:
            rows = rng.choice(rows, size=max_samples, replace=False)
        h = np.asarray(estimator.transform(_safe_indexing(X, rows)))
        h = StandardScaler().fit_transform(h)
        if h.shape[1] == 1:  # two dimensions are drawn
            h = np.column_stack([h, np.zeros(len(h))])
        if method == "pca":
            coordinates = PCA(2, random_state=rng).fit_transform(h)
        else:
            perplexity = min(30, (len(rows) - 1) / 3)
            coordinates = TSNE(
                2, perplexity=perplexity, init="pca", random_state=rng
            ).fit_transform(h)
        return cls(
            coordinates,
            task.decode(codes[rows]),
            sensitive.take(rows).decode(),
            method,
        ).plot(ax=ax)

    def plot(self, ax: Any = None) -> Self:
        """Draw it.

        Parameters
        ----------
        ax : array-like of Axes, default=None
            Where to draw, an axes for each panel. None: in a new figure.

        Returns
        -------
        display : LatentDisplay
        """
        classes = np.unique(self.classes)
        attributes = list(self.sensitive.columns)
        self.figure_, self.axes_ = make_axes(
            ax,
            len(attributes),
            len(classes),
            size=(3.8, 3.4),
            sharex=True,
            sharey=True,
        )
        name = {"pca": "principal component", "tsne": "t-SNE"}[self.method]
        for row, attribute in zip(self.axes_, attributes, strict=True):
            for panel, c in zip(row, classes, strict=True):
                self._plot_panel(panel, attribute, self.classes == c)
                panel.set_title(f"class {c}", fontsize="medium")
            row[0].set_ylabel(f"{name} 2")
            row[-1].legend(
                title=attribute,
                fontsize="small",
                markerscale=1.5,
                **BESIDE,
            )
        for panel in self.axes_[-1]:
            panel.set_xlabel(f"{name} 1")
        return self

    def _plot_panel(self, ax: Any, attribute: str, in_class: np.ndarray) -> None:
        groups = self.sensitive[attribute]
        sizes = groups.value_counts()  # the largest first, unknown ones not at all
        named = sizes.index[:MAX_NAMED]
        if len(sizes) > MAX_NAMED:
            named = sizes.index[: MAX_NAMED - 1]
        rest = in_class & ~groups.isin(named).to_numpy()
        if rest.any():
            self._scatter(
                ax, rest, "others and unknown", {"color": "0.75", "marker": "o"}
            )
        for group, style in zip(named, styles(len(named)), strict=True):
            style = {"color": style["color"], "marker": style["marker"]}
            members = in_class & (groups == group).to_numpy()
            self._scatter(ax, members, group_name(group), style)

    def _scatter(self, ax: Any, rows: np.ndarray, label: str, style: dict) -> None:
        ax.scatter(
            *self.coordinates[rows].T,
            s=14,
            alpha=0.6,
            linewidths=0,
            label=label,
            **style,
        )
