"""The estimator for images."""

import multiprocessing
from collections.abc import Callable, Sequence
from numbers import Integral, Real
from typing import Any, Literal

import joblib
import numpy as np
import torch
from sklearn.utils._param_validation import Interval, StrOptions
from skorch.callbacks import Callback
from torch import nn

from fairtask._averaging import WeightAverage
from fairtask._base import BaseAuxiliaryFairnessClassifier
from fairtask._data import InMemoryDataset, SampleDataset
from fairtask._images._backbone import (
    BackboneTrunk,
    layer_scales,
    make_backbone,
    without_decay,
)
from fairtask._images._dataset import ImageDataset, Resize, make_augmentation
from fairtask._images._reading import Images, as_images
from fairtask._validation import check_image_size, check_layer_sizes
from fairtask.losses import FairnessLoss
from fairtask.modules import MultiTaskNetwork

__all__ = ["AuxiliaryFairnessImageClassifier"]

MAX_WORKERS = 8
"""Processes that read images for a GPU, where `num_workers` does not say."""

FROZEN_HIDDEN_LAYERS = (128, 64)
"""Hidden layers on a feature that is not trained, where none are asked for."""


class AuxiliaryFairnessImageClassifier(BaseAuxiliaryFairnessClassifier):
    r"""Image classifier that learns its tasks and group fairness together.

    The trunk is a backbone of `timm <https://huggingface.co/docs/timm>`__, or a module
    of your own; on its feature there is a head per task and a fairness head per
    sensitive attribute, each a layer normalisation and a linear layer. What is
    minimised is that of `~fairtask.AuxiliaryFairnessClassifier`.

    Parameters
    ----------
    backbone : str or torch.nn.Module, default="convnext_tiny"
        Name of a timm model, see ``timm.list_models()``; or a module from images of
        shape (n, 3, height, width) to features of shape (n, width). A module is copied
        in `fit`, with the weights that it has.
    pretrained : bool, default=True
        Whether a timm model starts from its pretrained weights, which are downloaded
        when they are first used.
    backbone_params : dict, default=None
        Further arguments of ``timm.create_model``, for instance
        ``{"drop_path_rate": 0.1}``, or
        ``{"pretrained_cfg_overlay": {"file": "weights.safetensors"}}`` for pretrained
        weights in a file.
    image_size : int or (height, width), default=None
        Pixels that images are resized to. None: what the backbone was made for.
    augmentation : dict or callable, default=None
        Random changes of the training images. A dict holds arguments of
        ``timm.data.create_transform``, such as
        ``{"scale": (0.8, 1), "color_jitter": 0.2, "hflip": 0.5}``; what it leaves out
        keeps timm's default, such as crops of down to 8 % of the area. A callable is
        called with an RGB image of Pillow and returns one, which is resized. None:
        images are resized only.
    freeze : int or "backbone", default=None
        Stages of the backbone whose weights and running statistics are kept, counted
        from the input: ``stages[:freeze]``, so that -2 leaves the last two to be
        trained. The stem is a stage; of a vision transformer each block is one.
        "backbone": all. Its features are then computed once for all epochs.
    hidden_layer_sizes : sequence of int, default=None
        Width of each layer between feature and heads. None: no such layer, or (128, 64)
        with ``freeze="backbone"``.
    dropout : float in [0, 1), default=0.0
        Share of the backbone's feature, and of the units of these layers, dropped in
        training. What is dropped inside of the backbone is one of `backbone_params`.
    fairness_loss, ..., progress_bar
        All others: see `~fairtask.AuxiliaryFairnessClassifier`, with the defaults of
        this signature and the following.
    lr : float, default=0.0003
        Largest learning rate.
    layer_decay : float in (0, 1], default=1.0
        Share of the learning rate of a layer of the backbone that the layer before it
        gets.
    weight_decay : float, default=0.05
        Weight decay of the optimizer, not for biases, scales and what the backbone
        exempts, such as embeddings of positions. None: the optimizer's own, for all
        weights; see `~fairtask.AuxiliaryFairnessClassifier`.
    lr_schedule : {"cosine", "one_cycle", "constant"}, default="cosine"
        Learning rate over the batches of `fit`.
    batch_size : int, default=32
        Number of images in a batch.
    max_epochs : int, default=10
        Number of passes over the images.
    ema_decay : float in [0, 1), default=None
        Decay per batch of an exponential moving average of the weights, which takes
        their place in validation and at the end. It starts at less than that, at step t
        at (1 + t) / (10 + t). None: there is none.
    mixed_precision : bool or "auto", default="auto"
        Whether the backbone computes in bfloat16. "auto": on a CUDA device that has it.
    channels_last : bool, default=True
        Whether images lie in memory with the channels last, as convolutions are
        fastest.
    num_workers : int or "auto", default="auto"
        Processes that read and augment images. "auto": none, but for files that are
        read for a CUDA device one per core, at most 8, where processes are forked (as
        on Linux up to Python 3.13). Elsewhere a script that sets a number must guard
        its start with ``if __name__ == "__main__"``.
    on_error : {"raise", "skip"}, default="raise"
        What `fit` does with images that cannot be read. All are read once before the
        training starts. "skip" leaves them out, with a warning that counts them.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,), or list of these
        Class labels; for several tasks a list with an array each.
    sensitive_feature_names_ : list of str
        Name of each sensitive attribute.
    groups_ : list of ndarray
        Groups of each sensitive attribute, sorted; tuples if ``intersectional``.
    image_size_ : (height, width)
        Pixels that images are resized to.
    history_ : DataFrame
        Mean of each term of the objective, a row per epoch.
    group_history_ : DataFrame
        Mean task loss of each class and group, a row per epoch.
    net_ : skorch.NeuralNet
        The trained net; ``net_.module_.trunk.backbone`` is the backbone.

    See Also
    --------
    AuxiliaryFairnessClassifier : For tables.
    fairtask.baselines : Other methods, for images too.

    Notes
    -----
    `X` holds one image per sample: an array of shape (n, H, W, C), (n, C, H, W) or
    (n, H, W), of integers in [0, 255] or of floats in [0, 1]; or a list, array, Series
    or data frame of one column, of paths, Pillow images or arrays, whose sizes may
    differ. Files are read when their batch is due and are never all in memory.

    Every image is turned upright (EXIF), converted to RGB on white, resized to
    ``image_size`` whatever its proportions, and normalised as the backbone expects it:
    with ``pretrained_cfg`` of timm's models, else with mean and standard deviation of
    ImageNet.

    Examples
    --------
    >>> import numpy as np
    >>> from fairtask import AuxiliaryFairnessImageClassifier
    >>> rng = np.random.default_rng(0)
    >>> y, z = rng.integers(2, size=(2, 64))
    >>> X = rng.integers(100, size=(64, 32, 32, 3)) + 100 * y[:, None, None, None]
    >>> clf = AuxiliaryFairnessImageClassifier(
    ...     "test_convnext", pretrained=False, image_size=32, max_epochs=1,
    ...     random_state=0,
    ... )
    >>> clf.fit(X, y, sensitive_features=z).predict(X[:3]).shape
    (3,)
    """

    _remedy_for_divergence = "Lower"
    _fixed_parameters = (
        *BaseAuxiliaryFairnessClassifier._fixed_parameters,
        "backbone",
        "backbone_params",
        "image_size",
        "hidden_layer_sizes",
    )

    _parameter_constraints: dict = {  # noqa: RUF012 (scikit-learn's own form)
        **BaseAuxiliaryFairnessClassifier._parameter_constraints,
        "backbone": [str, nn.Module],
        "pretrained": ["boolean"],
        "backbone_params": [dict, None],
        "image_size": [Integral, "array-like", None],
        "augmentation": [dict, callable, None],
        "freeze": [Integral, StrOptions({"backbone"}), None],
        "hidden_layer_sizes": ["array-like", None],
        "dropout": [Interval(Real, 0, 1, closed="left")],
        "layer_decay": [Interval(Real, 0, 1, closed="right")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "ema_decay": [Interval(Real, 0, 1, closed="left"), None],
        "mixed_precision": ["boolean", StrOptions({"auto"})],
        "channels_last": ["boolean"],
        "num_workers": [
            Interval(Integral, 0, None, closed="left"),
            StrOptions({"auto"}),
        ],
        "on_error": [StrOptions({"raise", "skip"})],
    }

    def __init__(
        self,
        backbone: str | nn.Module = "convnext_tiny",
        *,
        pretrained: bool = True,
        backbone_params: dict[str, Any] | None = None,
        image_size: int | tuple[int, int] | None = None,
        augmentation: dict[str, Any] | Callable[..., Any] | None = None,
        freeze: int | Literal["backbone"] | None = None,
        hidden_layer_sizes: Sequence[int] | None = None,
        dropout: float = 0.0,
        fairness_loss: str | FairnessLoss | Callable[..., FairnessLoss] = "gld",
        parity: Literal["overall", "equalized_odds", "equal_opportunity"] = (
            "equalized_odds"
        ),
        group_loss: Literal["cross_entropy", "zero_one"] = "cross_entropy",
        positive_classes: Sequence[Any] | None = None,
        fairness_head: Literal["anchored", "literal", "probe", "task"] = "probe",
        lam: float = 0.2,
        group_momentum: float | Literal["auto"] = "auto",
        intersectional: bool = False,
        aggregator: Any = None,
        class_weight: Any = None,
        weighted_losses: Literal["all", "task"] = "all",
        optimizer: str | Callable[..., torch.optim.Optimizer] = "adamw",
        lr: float = 3e-4,
        layer_decay: float = 1.0,
        weight_decay: float | None = 0.05,
        lr_schedule: Literal["cosine", "one_cycle", "constant"] = "cosine",
        max_grad_norm: float | None = None,
        batch_size: int = 32,
        stratify_batches: bool = False,
        max_epochs: int = 10,
        ema_decay: float | None = None,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int | None = 10,
        epoch_scoring: str | Callable[..., float] = "neg_log_loss",
        warm_start: bool = False,
        mixed_precision: bool | Literal["auto"] = "auto",
        channels_last: bool = True,
        num_workers: int | Literal["auto"] = "auto",
        on_error: Literal["raise", "skip"] = "raise",
        callbacks: list[Callback] | None = None,
        device: str | torch.device = "auto",
        random_state: Any = None,
        verbose: int = 0,
        progress_bar: bool = False,
    ) -> None:
        self.backbone = backbone
        self.pretrained = pretrained
        self.backbone_params = backbone_params
        self.image_size = image_size
        self.augmentation = augmentation
        self.freeze = freeze
        self.hidden_layer_sizes = hidden_layer_sizes
        self.dropout = dropout
        self.fairness_loss = fairness_loss
        self.parity = parity
        self.group_loss = group_loss
        self.positive_classes = positive_classes
        self.fairness_head = fairness_head
        self.lam = lam
        self.group_momentum = group_momentum
        self.intersectional = intersectional
        self.aggregator = aggregator
        self.class_weight = class_weight
        self.weighted_losses = weighted_losses
        self.optimizer = optimizer
        self.lr = lr
        self.layer_decay = layer_decay
        self.weight_decay = weight_decay
        self.lr_schedule = lr_schedule
        self.max_grad_norm = max_grad_norm
        self.batch_size = batch_size
        self.stratify_batches = stratify_batches
        self.max_epochs = max_epochs
        self.ema_decay = ema_decay
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.epoch_scoring = epoch_scoring
        self.warm_start = warm_start
        self.mixed_precision = mixed_precision
        self.channels_last = channels_last
        self.num_workers = num_workers
        self.on_error = on_error
        self.callbacks = callbacks
        self.device = device
        self.random_state = random_state
        self.verbose = verbose
        self.progress_bar = progress_bar

    def _validate_samples(self, X: Any, *, reset: bool) -> Images:
        return as_images(X)

    def _readable(self, X: Images) -> np.ndarray | None:
        rows = X.readable(self.on_error)
        return None if len(rows) == len(X) else rows

    def _validate_given(self, X: Any) -> Images:
        images = super()._validate_given(X)
        images.check_exist()
        return images

    def _describe_samples(self) -> dict[str, Any]:
        if isinstance(self.backbone, str) and ":" in self.backbone:
            raise ValueError(
                f"`backbone={self.backbone!r}` is described outside of timm, where "
                "`load` does not look. Use pickle."
            )
        return self._image_config

    def _expect_samples(
        self,
        *,
        size: tuple[int, int],
        mean: tuple[float, ...],
        std: tuple[float, ...],
        interpolation: str,
    ) -> None:
        if check_image_size(self.image_size) not in (None, size):
            raise ValueError(f"has images of {size}, not `image_size`.")
        self._image_config = {
            "size": size,
            "mean": mean,
            "std": std,
            "interpolation": interpolation,
        }

    def _make_trunk(self, *, weights_follow: bool) -> tuple[nn.Module, int]:
        sizes = self.hidden_layer_sizes
        if self.freeze == "backbone":
            self._refuse_what_trains_the_backbone()
        if sizes is None:
            sizes = FROZEN_HIDDEN_LAYERS if self.freeze == "backbone" else ()
        backbone, config = make_backbone(
            self.backbone,
            pretrained=self.pretrained and not weights_follow,
            image_size=check_image_size(self.image_size),
            params=self.backbone_params,
        )
        if weights_follow:  # they were trained on images like this
            config = self._image_config
        self._image_config = config
        self.image_size_ = config["size"]
        trunk = BackboneTrunk(
            backbone,
            hidden_layer_sizes=check_layer_sizes(sizes, "hidden_layer_sizes"),
            dropout=self.dropout,
            size=config["size"],
            mean=config["mean"],
            std=config["std"],
            freeze=self.freeze,
            channels_last=self.channels_last,
            mixed_precision=self.mixed_precision,
        )
        if (
            not trunk.is_trained
            and self._trunk_pays
            and self._uses_sensitive_features()
        ):
            raise ValueError(
                "`hidden_layer_sizes` must hold a layer when the backbone is frozen "
                "and `lam` is less than 1: the fairness losses act on the trunk, which "
                "would have no weights to train."
            )
        return trunk, trunk.out_features

    def _refuse_what_trains_the_backbone(self) -> None:
        """Raise a ValueError for parameters without use when it is frozen."""
        for name, unused in (("augmentation", None), ("layer_decay", 1)):
            value = getattr(self, name)
            if value != unused:
                raise ValueError(
                    f"`{name}={value!r}` has no use with freeze='backbone', of which "
                    "no layer is trained and whose features are computed once."
                )

    def _make_head(self, in_features: int, n_outputs: int) -> nn.Module:
        return nn.Sequential(
            nn.LayerNorm(in_features), nn.Linear(in_features, n_outputs)
        )

    def _make_dataset(
        self,
        X: Images,
        target: dict[str, np.ndarray] | None = None,
        *,
        device: torch.device | None = None,
        network: MultiTaskNetwork | None = None,
        trained_on: bool = False,
    ) -> SampleDataset:
        config: Any = self._image_config
        resize = Resize(config["size"], config["interpolation"])
        augmentation = None
        if trained_on and self.augmentation is not None:
            augmentation = make_augmentation(
                self.augmentation, resize, mean=config["mean"], std=config["std"]
            )
        device = torch.device(device or self.net_.device)
        images = ImageDataset(
            X,
            resize,
            target,
            augmentation=augmentation,
            num_workers=self._resolve_num_workers(X, device),
            pin_memory=device.type == "cuda",
        )
        if network is None or self.freeze != "backbone":
            return images
        return InMemoryDataset(_features(network, images, device), target, device)

    def _resolve_num_workers(self, images: Images, device: torch.device) -> int:
        if self.num_workers != "auto":
            return self.num_workers
        # Processes that are not forked import the script that started them, and end
        # with an error where it is not written for that.
        method = multiprocessing.get_start_method(allow_none=True)
        is_forked = (method or multiprocessing.get_all_start_methods()[0]) == "fork"
        if device.type != "cuda" or not images.are_files or not is_forked:
            return 0
        return min(MAX_WORKERS, joblib.cpu_count())

    def _make_average(self) -> WeightAverage | None:
        return None if self.ema_decay is None else WeightAverage(self.ema_decay)

    def _weight_settings(self, network: MultiTaskNetwork) -> dict[str, dict[str, Any]]:
        trunk: Any = network.trunk
        scales = layer_scales(trunk.backbone, self.layer_decay)
        exempt = without_decay(trunk.backbone)
        settings: dict[str, dict[str, Any]] = {}
        for name, weight in network.named_parameters():
            inside = name.removeprefix("trunk.backbone.")
            own: dict[str, Any] = {}
            if name != inside and scales[inside] != 1:
                own["lr"] = scales[inside] * self.lr
            is_exempt = weight.ndim <= 1 if name == inside else inside in exempt
            if is_exempt and self.weight_decay is not None:
                own["weight_decay"] = 0.0
            settings[name] = own
        return settings

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.one_d_array = True
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        tags.input_tags.string = True
        return tags


def _features(
    network: MultiTaskNetwork, images: ImageDataset, device: torch.device
) -> torch.Tensor:
    """Return the feature of each image, of shape (n_samples, width)."""
    trunk: Any = network.trunk.to(device).eval()
    with torch.no_grad():
        features = [
            trunk.features(X.to(device))
            for X, _ in images.batches(images.evaluated_at_once)
        ]
    return torch.cat(features)
