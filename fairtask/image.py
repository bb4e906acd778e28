"""The estimator for images."""

from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY
from numbers import Integral, Real
from typing import Any, ClassVar, Literal

from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted
from torch import nn

from fairtask._auxiliary import AuxiliaryEstimator
from fairtask._estimator import FairnessEstimator
from fairtask._images._modality import ImageModality
from fairtask._parameters import estimator

__all__ = ["AuxiliaryFairnessImageClassifier", "ImageEstimator"]


@estimator
class ImageEstimator(FairnessEstimator):
    """Base class of the estimators for images: add the estimator of a method.

    The parameters are described in `~fairtask.AuxiliaryFairnessImageClassifier`.
    """

    backbone: str | nn.Module = "convnext_tiny"
    _: KW_ONLY
    pretrained: bool = True
    backbone_params: dict[str, Any] | None = None
    image_size: int | tuple[int, int] | None = None
    augmentation: dict[str, Any] | Callable[..., Any] | None = None
    freeze: int | Literal["backbone"] | None = None
    hidden_layer_sizes: Sequence[int] | None = None
    dropout: float = 0.0
    lr: float = 3e-4
    layer_decay: float = 1.0
    weight_decay: float | None = 0.05
    lr_schedule: Literal["one_cycle", "cosine", "constant"] = "cosine"
    batch_size: int = 32
    max_epochs: int = 10
    ema_decay: float | None = None
    mixed_precision: bool | Literal["auto"] = "auto"
    channels_last: bool = True
    num_workers: int | Literal["auto"] = "auto"
    on_error: Literal["raise", "skip"] = "raise"

    _parameter_constraints: ClassVar[dict] = {
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

    def _make_modality(self) -> ImageModality:
        return ImageModality(**self._parameters_of(ImageModality))

    @property
    def image_size_(self) -> tuple[int, int]:
        """Size of resized images in pixels, (height, width)."""
        check_is_fitted(self)
        return self._modality.state()["config"]["size"]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.one_d_array = True
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        tags.input_tags.string = True
        return tags


@estimator
class AuxiliaryFairnessImageClassifier(ImageEstimator, AuxiliaryEstimator):
    r"""Image classifier that learns its tasks and group fairness together.

    The trunk is a `timm <https://huggingface.co/docs/timm>`__ backbone or another torch
    module. On its features there is a head per task and a fairness head per sensitive
    attribute, each a layer normalisation and a linear layer. The objective is that of
    `~fairtask.AuxiliaryFairnessClassifier`.

    Parameters
    ----------
    backbone : str or torch.nn.Module, default="convnext_tiny"
        Name of a timm model, see ``timm.list_models()``; or a module from images of
        shape (n, 3, height, width) to features of shape (n, width). `fit` copies a
        module, with its current weights.
    pretrained : bool, default=True
        Whether a timm model starts from its pretrained weights, which are downloaded
        when they are first used.
    backbone_params : dict, default=None
        Further arguments of ``timm.create_model``, for instance
        ``{"drop_path_rate": 0.1}``, or
        ``{"pretrained_cfg_overlay": {"file": "weights.safetensors"}}`` for pretrained
        weights in a file.
    image_size : int or (height, width), default=None
        Size of resized images in pixels. None: the size that the backbone was made for.
    augmentation : dict or callable, default=None
        Random changes of the training images. A dict holds arguments of
        ``timm.data.create_transform``, such as
        ``{"scale": (0.8, 1), "color_jitter": 0.2, "hflip": 0.5}``. Other arguments keep
        timm's defaults, such as crops of down to 8 % of the area. A callable maps an
        RGB Pillow image to one, which is then resized. None: images are resized only.
    freeze : int or "backbone", default=None
        Stages of the backbone whose weights and running statistics do not change,
        counted from the input: ``stages[:freeze]``. With -2 the last two are trained.
        The stem is a stage, and so is each block of a vision transformer. "backbone":
        all stages. The features are then computed once for all epochs.
    hidden_layer_sizes : sequence of int, default=None
        Width of each layer between features and heads. None: no such layer, or
        (128, 64) with ``freeze="backbone"``.
    dropout : float in [0, 1), default=0.0
        Share of the backbone's features, and of the units of these layers, dropped in
        training. Dropout inside the backbone is set by `backbone_params`.
    fairness_loss, ..., verbose
        See `~fairtask.AuxiliaryFairnessClassifier`. The defaults are those of this
        signature.
    lr : float, default=0.0003
        Largest learning rate.
    layer_decay : float in (0, 1], default=1.0
        Ratio of the learning rate of a layer of the backbone to that of the next layer.
    weight_decay : float, default=0.05
        Weight decay of the optimizer. Biases, scales and weights that the backbone
        exempts, such as position embeddings, have none. None: the optimizer's default,
        for all weights; see `~fairtask.AuxiliaryFairnessClassifier`.
    lr_schedule : {"cosine", "one_cycle", "constant"}, default="cosine"
        Learning rate over the batches of `fit`.
    batch_size : int, default=32
        Number of images in a batch.
    max_epochs : int, default=10
        Number of passes over the images.
    ema_decay : float in [0, 1), default=None
        Decay per batch of an exponential moving average of the weights, which replaces
        the weights in validation and after training. At step t the decay is at most
        (1 + t) / (10 + t). None: no average.
    mixed_precision : bool or "auto", default="auto"
        Whether the backbone computes in bfloat16. "auto": on CUDA devices that support
        it.
    channels_last : bool, default=True
        Whether images are stored with the channels last, for fast convolutions.
    num_workers : int or "auto", default="auto"
        Number of processes that read and augment images. "auto": one per core, at most
        8, if files are read for a CUDA device and processes are forked (as on Linux up
        to Python 3.13); else none. If processes are not forked, a script that sets a
        number must guard its start with ``if __name__ == "__main__"``.
    on_error : {"raise", "skip"}, default="raise"
        Whether unreadable images are an error in `fit`, or are left out with a warning
        that counts them. `fit` reads all images once before the training starts.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,), or list of these
        Class labels; for several tasks a list with an array each.
    sensitive_feature_names_ : list of str
        Name of each sensitive attribute.
    groups_ : list of ndarray
        Groups of each sensitive attribute, sorted; tuples if ``intersectional``.
    image_size_ : (height, width)
        Size of resized images in pixels.
    history_ : DataFrame
        Mean of each term of the objective, a row per epoch.
    group_history_ : DataFrame
        Mean task loss of each class and group, a row per epoch.
    n_iter_ : int
        Number of epochs that were trained in all.
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
    differ. A file is read when its batch needs it; the files are never all in memory.

    Every image is turned upright (EXIF), converted to RGB on white, resized to
    ``image_size`` whatever its proportions, and normalised as the backbone expects:
    with the ``pretrained_cfg`` of a timm model, else with ImageNet's mean and standard
    deviation.

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
