"""Images resized, augmented and batched."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from fairtask._data import Batch, SampleDataset
from fairtask._images._reading import Images
from fairtask._random import everything_seeded

__all__ = ["ImageDataset", "Resize", "make_augmentation"]

TAKEN = (
    "input_size", "is_training", "no_aug", "mean", "std", "normalize", "separate",
    "use_prefetcher", "tf_preprocessing", "naflex", "patchify",
)  # fmt: skip
"""Arguments of timm's transforms that are not the user's."""


class Resize:
    """From an RGB image to pixels of one size.

    Parameters
    ----------
    size : (height, width)
    interpolation : {"nearest", "bilinear", "bicubic", "lanczos", "box", "hamming"}
    augment : callable, optional
        From an RGB image to one that is changed at random.
    """

    def __init__(
        self,
        size: tuple[int, int],
        interpolation: str,
        augment: Callable[[Image.Image], Image.Image] | None = None,
    ) -> None:
        self.size = size
        self.interpolation = interpolation
        self.augment = augment

    @property
    def decoded_size(self) -> tuple[int, int] | None:
        """Pixels needed; None where a part of the image may be enlarged."""
        return self.size if self.augment is None else None

    @property
    def is_random(self) -> bool:
        """Whether the same image may come out differently."""
        return self.augment is not None

    def __call__(self, image: Image.Image) -> Tensor:
        """Return a Tensor of shape (height, width, 3), uint8."""
        if self.augment is not None:
            image = self.augment(image)
            if not isinstance(image, Image.Image):
                raise ValueError(
                    "`augmentation` must return a Pillow image; got "
                    f"{type(image).__name__}."
                )
            image = image.convert("RGB")
        height, width = self.size
        if image.size != (width, height):
            resample = Image.Resampling[self.interpolation.upper()]
            image = image.resize((width, height), resample)
        return torch.from_numpy(np.array(image))


class TimmAugmentation:
    """timm's training transforms, from an RGB image to pixels of one size.

    Parameters
    ----------
    transform : callable
        From an RGB image to a Tensor of shape (3, height, width).
    """

    decoded_size = None
    is_random = True

    def __init__(self, transform: Callable[[Image.Image], Tensor]) -> None:
        self.transform = transform

    def __call__(self, image: Image.Image) -> Tensor:
        """Return a Tensor of shape (height, width, 3), uint8 or normalised."""
        return self.transform(image).permute(1, 2, 0)


def make_augmentation(augmentation: Any, config: dict[str, Any]) -> Any:
    """Return what turns an image into pixels in training.

    Parameters
    ----------
    augmentation : None, dict or callable
        See `~fairtask.AuxiliaryFairnessImageClassifier`.
    config : dict
        ``size`` (height, width), ``interpolation``, ``mean`` and ``std``.
    """
    if not isinstance(augmentation, dict):
        return Resize(config["size"], config["interpolation"], augmentation)
    from timm.data import create_transform

    taken = sorted(set(augmentation) & set(TAKEN))
    if taken:
        raise ValueError(
            f"`augmentation` must not have {taken}, which the backbone decides."
        )
    # Pixels stay small integers until they are on the device, but erased regions may
    # be filled with noise, which is not one.
    try:
        transform = create_transform(
            config["size"],
            is_training=True,
            mean=config["mean"],
            std=config["std"],
            normalize=bool(augmentation.get("re_prob", 0)),
            **{"interpolation": config["interpolation"], **augmentation},
        )
    except (TypeError, ValueError, KeyError, AssertionError) as error:
        raise ValueError(
            f"`augmentation` must be arguments of timm.data.create_transform; got "
            f"{augmentation!r}: {error}"
        ) from error
    return TimmAugmentation(transform)


class ImageDataset(SampleDataset):
    """Images that are read when their batch is cut.

    Parameters
    ----------
    images : Images
    transform : Resize or TimmAugmentation
        From an image to pixels.
    target : dict of str to ndarray of shape (n_samples, ...), optional
        See `SampleDataset`.
    num_workers : int
        Processes that read images; 0 reads them in this one.
    pin_memory : bool
        Whether batches go where a GPU fetches them from.
    """

    evaluated_at_once = 128

    def __init__(
        self,
        images: Images,
        transform: Any,
        target: dict[str, np.ndarray] | None = None,
        *,
        num_workers: int = 0,
        pin_memory: bool = False,
    ) -> None:
        super().__init__(target)
        self.images = images
        self.transform = transform
        self.num_workers = num_workers
        self.pin_memory = pin_memory

    def __len__(self) -> int:
        return len(self.images)

    def batches(
        self, batch_size: int, *, shuffle: bool = False, stratify: bool = False
    ) -> "ImageBatches":
        """See `SampleDataset.batches`."""
        return ImageBatches(self, batch_size, shuffle, stratify)

    def thinned(self, step: int) -> "ImageDataset":
        """See `SampleDataset.thinned`."""
        return ImageDataset(self.images[::step], self.transform)


class ImageBatches:
    """Iterate over an `ImageDataset`; workers live as long as this does.

    Parameters
    ----------
    dataset : ImageDataset
    batch_size, shuffle, stratify
        See `SampleDataset.batches`.
    """

    def __init__(
        self, dataset: ImageDataset, batch_size: int, shuffle: bool, stratify: bool
    ) -> None:
        self.dataset = dataset
        sampler = _Epoch(
            partial(dataset.shuffled, stratify) if shuffle else None,
            len(dataset),
            batch_size,
            dataset.transform.is_random,
        )
        # No more processes than there are batches.
        num_workers = min(dataset.num_workers, len(sampler) if len(sampler) > 1 else 0)
        self._loader = DataLoader(
            _Pixels(dataset.images, dataset.transform),
            batch_sampler=sampler,
            num_workers=num_workers,
            persistent_workers=num_workers > 0,
            pin_memory=dataset.pin_memory,
            generator=torch.Generator(),  # what the workers draw is not used
        )

    def __len__(self) -> int:
        return len(self._loader)

    def __iter__(self) -> Iterator[Batch]:
        target = self.dataset.target
        for pixels, rows in self._loader:
            # A view: what is channels-last in memory has the shape of channels-first.
            yield pixels.permute(0, 3, 1, 2), {n: v[rows] for n, v in target.items()}


class _Pixels(Dataset):
    """What a worker holds: images, without targets."""

    def __init__(self, images: Images, transform: Any) -> None:
        self.images = images
        self.transform = transform

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, sample: tuple[int, int | None]) -> tuple[Tensor, int]:
        i, seed = sample
        image = self.images.open(i, at_least=self.transform.decoded_size)
        if seed is None:
            return self.transform(image), i
        with everything_seeded(seed):
            return self.transform(image), i


class _Epoch:
    """Batches of positions, each with a seed where images come out at random.

    A seed for each image, and not for each worker, makes an epoch the same whatever the
    number of workers.
    """

    def __init__(
        self,
        shuffled: Callable[[], Tensor] | None,
        n_samples: int,
        batch_size: int,
        is_random: bool,
    ) -> None:
        self.shuffled = shuffled
        self.n_samples = n_samples
        self.batch_size = batch_size
        self.is_random = is_random

    def __len__(self) -> int:
        return -(-self.n_samples // self.batch_size)

    def __iter__(self) -> Iterator[list[tuple[int, int | None]]]:
        order = list(range(self.n_samples))
        if self.shuffled is not None:
            order = self.shuffled().tolist()
        seeds: list[Any] = [None] * self.n_samples
        if self.is_random:
            seeds = torch.randint(2**31 - 1, (self.n_samples,)).tolist()
        samples = list(zip(order, seeds, strict=True))
        for start in range(0, self.n_samples, self.batch_size):
            yield samples[start : start + self.batch_size]
