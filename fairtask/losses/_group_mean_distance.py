"""A penalty on the representation itself: the distance between the groups' means."""

from typing import Literal

import torch
from torch import Tensor

from fairtask._processes import sum_over_processes
from fairtask.losses._checks import check_columns, check_size
from fairtask.losses._fairness_loss import (
    AUTO_MAX_MOMENTUM,
    CellPenalty,
    cell_members,
    mean_over_strata,
)

__all__ = ["GroupMeanDistance"]

COVARIANCE_WINDOW = 50
"""Number of samples, per feature, that the running covariance covers."""

RIDGE = 5
"""Added to the variances of a covariance of n samples and p features, times p / n.

The variance of all samples is 1 on average.
"""

SMALL = 1e-3
"""Share of the mean square that is added to the variance."""

SMALLEST = 1e-8
"""Number that replaces 0 as a divisor."""


class GroupMeanDistance(CellPenalty):
    r"""Distance between the groups' means of a representation, inside each stratum.

    It is the mean over the strata c, such as the samples of a class, of

    .. math::

        \sum_g a_{cg} \, d_{cg}^\top S^{-1} d_{cg}, \qquad
        d_{cg} = \mu_{cg} - \sum_j a_{cj} \mu_{cj}

    where :math:`\mu_{cg}` is the mean of the representation over the samples of group
    g in the stratum, and S is the covariance inside these cells, pooled over all of
    them. The squared Mahalanobis distance bounds all linear heads at once [1]_: for
    every w,

    .. math:: (w^\top d_{cg})^2 \le w^\top S w \cdot d_{cg}^\top S^{-1} d_{cg}

    The weights :math:`a_{cg} \propto n_{cg} / (n_{cg} + p)`, where :math:`n_{cg}` is
    the number of samples that the mean covers, add up to 1. A cell of few
    samples counts less, because the squared distance of a mean of n samples in p
    dimensions is on average p / n too large. Of weighted samples n is the effective
    number. In training the weights of a batch are compared with those of earlier
    batches: after samples of ordinary weights, those that weigh next to nothing hardly
    move the means.

    Like the means of a `FairnessLoss`, :math:`\mu` and S run over the batches. S has
    no gradient: otherwise the trunk makes it large, and not the distances small. S has
    5 p / n times the mean variance of all samples added to its diagonal, where it
    covers n samples. The representation is divided by its standard deviation, that of
    all features and samples of the batch, to whose square a thousandth of the mean
    square is added. The trunk can therefore not lower the distance by a smaller
    representation, as long as it varies: it would be constant in the end.

    Parameters
    ----------
    n_features : int
        Width p of the representation.
    strata : Tensor of shape (n_strata, n_classes), bool
        The classes whose samples are in each stratum, see `FairnessLoss.strata`.
    n_groups : int, default=2
        Number of groups G of the sensitive attribute.
    group_momentum : float in [0, 1) or "auto", default="auto"
        Momentum of the running means, see `FairnessLoss`.

    Attributes
    ----------
    running_means : Tensor of shape (n_strata, n_groups, n_features)
        Running mean of each cell.
    running_sizes : Tensor of shape (n_strata, n_groups)
        Running mean of the number of samples of each cell in a batch.
    running_weights, running_squares : Tensor of shape (n_strata, n_groups)
        Running means of the sums of the weights of each cell, and of their squares.
    running_covariance : Tensor of shape (n_features, n_features)
        Running covariance inside the cells.
    covered : Tensor, scalar
        Number of samples that the running covariance covers.
    seen : Tensor of shape (n_strata, n_groups), bool
        Cells that have occurred in training.

    References
    ----------
    .. [1] P. C. Mahalanobis. "On the generalised distance in statistics". Proceedings
       of the National Institute of Sciences of India 2, 1936.

    Examples
    --------
    >>> import torch
    >>> from fairtask.losses import GroupMeanDistance
    >>> distance = GroupMeanDistance(n_features=1, strata=torch.eye(2, dtype=bool))
    >>> h = torch.tensor([[0.0], [2.0], [1.0], [3.0]])
    >>> y, groups = torch.tensor([0, 0, 0, 0]), torch.tensor([0, 0, 1, 1])
    >>> distance.eval()(h, y, groups)
    tensor(0.0487)
    """

    covered: Tensor
    in_stratum: Tensor
    last_center: Tensor
    running_covariance: Tensor
    running_sizes: Tensor
    running_squares: Tensor
    running_weights: Tensor

    def __init__(
        self,
        n_features: int,
        strata: Tensor,
        n_groups: int = 2,
        *,
        group_momentum: float | Literal["auto"] = "auto",
    ) -> None:
        super().__init__(group_momentum)
        check_size("n_features", n_features, 1)
        check_size("n_groups", n_groups, 2)
        if not isinstance(strata, Tensor):
            raise ValueError(f"`strata` must be a tensor; got {strata!r}.")
        if strata.ndim != 2 or strata.dtype != torch.bool or not strata.numel():
            raise ValueError(
                "`strata` must be bool, of shape (n_strata, n_classes); got "
                f"{strata.dtype} of shape {tuple(strata.shape)}."
            )
        self.n_features = n_features
        self.n_groups = n_groups
        n_strata = len(strata)
        self.register_buffer("in_stratum", strata.T.contiguous(), persistent=False)
        self._set_cells(n_strata, n_groups, n_features)
        for name in ("running_sizes", "running_weights", "running_squares"):
            zeros = torch.zeros((n_strata, n_groups), dtype=torch.float32)
            self.register_buffer(name, zeros)
        covariance = torch.zeros((n_features, n_features), dtype=torch.float32)
        self.register_buffer("running_covariance", covariance)
        covered = torch.zeros((), dtype=torch.float32)
        self.register_buffer("covered", covered)
        center = torch.zeros(n_features, dtype=torch.float32)
        self.register_buffer("last_center", center, persistent=False)

    def forward(
        self, h: Tensor, y: Tensor, groups: Tensor, weight: Tensor | None = None
    ) -> Tensor:
        """Compute the penalty of a batch.

        Parameters
        ----------
        h : Tensor of shape (n_samples, n_features)
            Representation.
        y, groups, weight
            See `FairnessLoss.forward`.

        Returns
        -------
        penalty : Tensor, scalar
            Mean over the strata. A stratum in which fewer than two groups are known
            contributes 0.

        Raises
        ------
        ValueError
            See `FairnessLoss.forward`.
        """
        check_columns("h", h, "n_features", self.n_features)
        self._check_batch(len(h), len(self.in_stratum), y, groups, weight)
        with torch.autocast(h.device.type, enabled=False):
            means, sizes, covariance = self._moments(
                h.to(torch.promote_types(h.dtype, torch.float32)), y, groups, weight
            )
            present, n = sizes > 0, sizes.sum()
            if self._runs:
                covered, n, covariance = self._track_moments(sizes, covariance)
                means, present = self._track(means, sizes)
                sizes = covered
            ridge = RIDGE * self.n_features / n.clamp_min(1)
            return mean_over_strata(
                self._distances(means, sizes, present, covariance, ridge), present
            )

    def _moments(
        self, h: Tensor, y: Tensor, groups: Tensor, weight: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Compute the means and sizes of the cells, and the covariance inside them."""
        cells = cell_members(self.in_stratum[y], groups, self.n_groups)
        members = cells.flatten(1).to(h.dtype)
        if weight is not None:
            weight = weight.to(h.dtype)
            members = members * weight.unsqueeze(-1)
        sums = [members.mT @ h, members.sum(0)]
        if weight is not None:
            sums.append(members.square().sum(0))
        with torch.no_grad():
            # NOTE: squares of numbers near zero lose no digits when those of their
            # means are subtracted.
            center = self.last_center.to(h.dtype)
            centered = h - center
            weighted = centered if weight is None else weight.unsqueeze(-1) * centered
            sums += [
                (members.sum(1, keepdim=True) * centered).mT @ centered,
                weighted.sum(0),
                torch.dot(weighted.flatten(), centered.flatten()),
                h.new_full((), len(h)) if weight is None else weight.sum(),
            ]
        of_cells, totals, *squares, products, shift, norm, n = sum_over_processes(sums)
        means = of_cells / torch.where(totals > 0, totals, 1).unsqueeze(-1)
        with torch.no_grad():
            n = n.clamp_min(SMALLEST)
            center = center + shift / n
            variance = (norm / n - (shift / n).square().sum()) / self.n_features
            # The second term is for batches of one sample.
            variance = variance + SMALL * (variance + center.square().mean())
            variance = variance.clamp_min(SMALLEST)
            residual = centered - shift / n
            if weight is not None:
                residual *= weight.unsqueeze(-1)
            offsets = means - self.last_center
            covariance = products - (totals.unsqueeze(-1) * offsets).mT @ offsets
            covariance /= totals.sum().clamp_min(SMALLEST) * variance
            if self._runs:
                self.last_center.copy_(center)
        # NOTE: the gradient of the logarithm of the standard deviation of all features.
        # `scale` has the value and the gradient of a division by that deviation.
        log_deviation = torch.dot(residual.flatten(), h.flatten())
        log_deviation = log_deviation / (n * self.n_features * variance)
        scale = (1 - (log_deviation - log_deviation.detach())) * variance.rsqrt()
        # A cell without samples has no gradient.
        is_present = (totals > 0).unsqueeze(-1)
        means = torch.where(is_present, scale * (means - center), 0)
        shape = self.seen.shape
        means, totals = means.view(*shape, -1), totals.view(shape)
        if weight is None:
            return means, totals, covariance
        means, sizes = self._compare_with_running_weights(
            means, totals, squares[0].view(shape)
        )
        return means, sizes, covariance

    def _compare_with_running_weights(
        self, means: Tensor, totals: Tensor, squares: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the means of cells of weighted samples, and their effective sizes.

        In a batch by itself, samples that weigh next to nothing count as much as any
        others. In training, the weights of a cell are therefore compared with those of
        earlier batches. The mean of less than one effective sample is moved to the
        running mean.
        """
        if not self._runs:
            return means, totals.square() / torch.where(totals > 0, squares, 1)
        with torch.no_grad():
            share = self._share_of_batch()
            self.running_weights.add_(share * (totals - self.running_weights))
            self.running_squares.add_(share * (squares - self.running_squares))
            squares = torch.where(self.running_squares > 0, self.running_squares, 1)
            sizes = totals * (self.running_weights / squares)
            kept = torch.where(self.seen, sizes.clamp_max(1), 1).unsqueeze(-1)
            running = self.running_means.to(means.dtype)
        return torch.lerp(running, means, kept.to(means.dtype)), sizes

    def _share_of_batch(self) -> Tensor:
        """Return the share of this batch in numbers that run over about 100 batches."""
        return torch.where(self.seen.any(), 1 - AUTO_MAX_MOMENTUM, 1.0)

    @torch.no_grad()
    def _track_moments(
        self, sizes: Tensor, covariance: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Update what runs besides the means.

        Returns the numbers of samples that the means and the covariance cover, and the
        covariance.
        """
        self.running_sizes.add_(self._share_of_batch() * (sizes - self.running_sizes))
        n = sizes.sum()
        # At first the covariance is the mean over all batches. A batch with few known
        # groups does not shorten the window.
        window = (self.running_sizes.sum() / (1 - AUTO_MAX_MOMENTUM)).clamp_max(
            COVARIANCE_WINDOW * self.n_features
        )
        self.covered.copy_((self.covered + n).minimum(window.maximum(n)))
        share = n / self.covered.clamp_min(SMALLEST)
        self.running_covariance.add_(share * (covariance - self.running_covariance))
        # A running mean with momentum m is as precise as one of 1 / (1 - m) batches. Of
        # a cell that is in few batches it covers more samples than this.
        m = self._momentum(self.running_sizes)
        return self.running_sizes / (1 - m), self.covered, self.running_covariance

    def _distances(
        self,
        means: Tensor,
        sizes: Tensor,
        present: Tensor,
        covariance: Tensor,
        ridge: Tensor,
    ) -> Tensor:
        """Return the mean distance of each stratum's cells from their mean."""
        weights = present * sizes / (sizes + self.n_features)
        weights = weights / weights.sum(-1, keepdim=True).clamp_min(SMALLEST)
        weights = weights.unsqueeze(-1)
        middle = (weights * means).sum(-2, keepdim=True)
        differences = torch.where(present.unsqueeze(-1), means - middle, 0)
        with torch.no_grad():
            covariance = covariance.to(differences.dtype, copy=True)
            covariance.diagonal().add_(ridge)
            # It raises no error where a training diverges; the estimator does.
            solved, _ = torch.linalg.solve_ex(covariance, differences.flatten(0, 1).mT)
            weighted = weights * solved.mT.view_as(differences)
        # NOTE: a quadratic form; its gradient is twice that of this linear one.
        distances = (differences * weighted).sum((-1, -2))
        return 2 * distances - distances.detach()

    def extra_repr(self) -> str:
        """Return sizes and settings, for the module's repr."""
        return (
            f"{self.n_features}, {self.n_groups}, group_momentum={self.group_momentum}"
        )
