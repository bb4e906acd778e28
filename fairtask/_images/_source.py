"""Images as a source of batches: resized, augmented and read by workers."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pickle import PicklingError
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from fairtask._data import Source, batch_sizes
from fairtask._images._reading import Images
from fairtask._random import RandomStream, everything_seeded

__all__ = ["ImageSource", "Resize", "make_augmentation"]

TAKEN = (
    "input_size", "is_training", "no_aug", "mean", "std", "normalize", "separate",
    "use_prefetcher", "tf_preprocessing", "naflex", "patchify",
)  # fmt: skip
"""Arguments of timm's transforms that the estimator decides."""

ToPixels = Callable[[Image.Image], Tensor]
"""Maps an RGB image to a Tensor of shape (height, width, 3)."""


@dataclass(frozen=True)
class Resize:
    """Resize an RGB image to one size, without regard to its proportions.

    Parameters
    ----------
    size : (height, width)
    interpolation : {"nearest", "bilinear", "bicubic", "lanczos", "box", "hamming"}
    """

    size: tuple[int, int]
    interpolation: str

    def __call__(self, image: Image.Image) -> Tensor:
        """Return a Tensor of shape (height, width, 3), uint8."""
        height, width = self.size
        if image.size != (width, height):
            resample = Image.Resampling[self.interpolation.upper()]
            image = image.resize((width, height), resample)
        return torch.from_numpy(np.array(image))


def make_augmentation(
    augmentation: Any,
    resize: Resize,
    *,
    mean: tuple[float, ...],
    std: tuple[float, ...],
) -> ToPixels:
    """Return a random change of an image that ends in pixels, uint8 or normalised.

    Parameters
    ----------
    augmentation : dict or callable
        See `~fairtask.AuxiliaryFairnessImageClassifier`.
    resize : Resize
    mean, std : tuple of 3 floats
        Of each channel, for pixels that have to be normalised.
    """
    # Partial functions, and not nested ones, can be sent to other processes.
    if not isinstance(augmentation, dict):
        return partial(_changed_and_resized, change=augmentation, resize=resize)
    from timm.data import create_transform

    taken = sorted(set(augmentation) & set(TAKEN))
    if taken:
        raise ValueError(
            f"`augmentation` must not have {taken}, which the backbone decides."
        )
    # Pixels stay small integers until they are on the device. Erased regions may be
    # filled with noise, which needs normalised pixels.
    try:
        transform = create_transform(
            resize.size,
            is_training=True,
            mean=mean,
            std=std,
            normalize=bool(augmentation.get("re_prob", 0)),
            **{"interpolation": resize.interpolation, **augmentation},
        )
    except (TypeError, ValueError, KeyError, AssertionError) as error:
        raise ValueError(
            f"`augmentation` must be arguments of timm.data.create_transform; got "
            f"{augmentation!r}: {error}"
        ) from error
    return partial(_channels_last, transform=transform)


def _changed_and_resized(
    image: Image.Image,
    *,
    change: Callable[[Image.Image], Image.Image],
    resize: Resize,
) -> Tensor:
    changed = change(image.copy())  # the image may belong to the user
    if not isinstance(changed, Image.Image):
        raise ValueError(
            "`augmentation` must return a Pillow image; got "
            f"{type(changed).__module__}.{type(changed).__qualname__}."
        )
    return resize(changed.convert("RGB"))


def _channels_last(image: Image.Image, *, transform: ToPixels) -> Tensor:
    return transform(image).permute(1, 2, 0)


@dataclass(eq=False)
class ImageSource(Source, Dataset):
    """Images that are read batch by batch.

    Parameters
    ----------
    images : Images
    resize : Resize
    augmentation : callable, optional
        Replaces `resize` in training: a random change, and the resizing.
    num_workers : int
        Number of processes that read images. 0: this process reads them.
    pin_memory : bool
        Whether batches are put in memory that a GPU copies from fast.
    """

    images: Images
    resize: Resize
    augmentation: ToPixels | None = None
    num_workers: int = 0
    pin_memory: bool = False

    evaluated_at_once = 128

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, sample: tuple[int, int | None]) -> tuple[Tensor, int]:
        """Return the pixels of an image and its position; the seed augments it."""
        i, seed = sample
        if self.augmentation is None or seed is None:
            return self.resize(self.images.open(i, at_least=self.resize.size)), i
        image = self.images.open(i)  # whole: a part of it may be enlarged
        with everything_seeded(seed):
            return self.augmentation(image), i

    def batches(
        self, batch_size: int, random: RandomStream | None = None
    ) -> "ImageBatches":
        """See `Source.batches`."""
        return ImageBatches(self, batch_size, random)

    def take(self, rows: np.ndarray) -> "ImageSource":
        """See `Source.take`."""
        return ImageSource(self.images[rows], self.resize)


class ImageBatches:
    """Iterate over an `ImageSource`. The workers live as long as this object."""

    def __init__(
        self, source: ImageSource, batch_size: int, random: RandomStream | None
    ) -> None:
        sampler = _Epoch(
            len(source), batch_size, random, seeded=source.augmentation is not None
        )
        # No more processes than there are batches.
        num_workers = min(source.num_workers, len(sampler) if len(sampler) > 1 else 0)
        self._loader = DataLoader(
            source,
            batch_sampler=sampler,
            num_workers=num_workers,
            persistent_workers=num_workers > 0,
            pin_memory=source.pin_memory,
            generator=torch.Generator(),  # keeps the global generator as it is
        )

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        try:
            batches = iter(self._loader)
        except (AttributeError, TypeError, PicklingError) as error:
            raise ValueError(
                "`augmentation` cannot be sent to the processes that read images "
                f"({error}). Define it at the top of a module, or set num_workers=0."
            ) from error
        try:
            for pixels, rows in batches:
                # A view: its shape has the channels first, its memory has them last.
                yield pixels.permute(0, 3, 1, 2), rows
        except ValueError as error:
            # The message of an error in another process starts with a traceback.
            raise ValueError(str(error).rpartition("\nValueError: ")[2].strip()) from (
                error
            )


class _Epoch:
    """Batches of positions, each with a seed if images are changed at random.

    With a seed per image, an epoch does not depend on the number of workers.
    """

    def __init__(
        self,
        n_samples: int,
        batch_size: int,
        random: RandomStream | None,
        *,
        seeded: bool,
    ) -> None:
        self.random = random
        self.seeded = seeded
        self.sizes = batch_sizes(
            n_samples, batch_size, is_trained_on=random is not None
        )

    def __len__(self) -> int:
        return len(self.sizes)

    def __iter__(self) -> Iterator[list[tuple[int, int | None]]]:
        n_samples = sum(self.sizes)
        order = list(range(n_samples))
        seeds: list[Any] = [None] * n_samples
        if self.random is not None:
            with self.random:
                order = torch.randperm(n_samples).tolist()
                if self.seeded:
                    seeds = torch.randint(2**31 - 1, (n_samples,)).tolist()
        samples = zip(order, seeds, strict=True)
        for size in self.sizes:
            yield list(islice(samples, size))
