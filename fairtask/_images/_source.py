"""Images as a source of batches: opened one by one, augmented and resized."""

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
from torch.utils.data import DataLoader, Dataset, default_collate

from fairtask._data import Source, all_rows, batch_sizes
from fairtask._images._opening import Images
from fairtask._random import RandomStream, everything_seeded

__all__ = ["ImageSource", "make_augmentation"]

TAKEN = (
    "input_size", "is_training", "no_aug", "mean", "std", "normalize", "separate",
    "use_prefetcher", "tf_preprocessing", "naflex", "patchify",
)  # fmt: skip
"""Arguments of timm's transforms that the estimator decides."""


def make_augmentation(
    augmentation: dict[str, Any] | Callable[..., Any], config: dict[str, Any]
) -> Callable[[Image.Image], Image.Image | Tensor]:
    """Return a random change of an RGB image.

    Parameters
    ----------
    augmentation : dict or callable
        See `~fairtask.AuxiliaryFairnessImageClassifier`.
    config : dict
        Size and interpolation of images, and mean and standard deviation of each
        channel.

    Returns
    -------
    augment : callable
        Returns an image of any size, or the pixels of shape (3, height, width), which
        are of type uint8 or normalised.
    """
    # A partial function, and not a nested one, can be sent to other processes.
    if not isinstance(augmentation, dict):
        return partial(_changed, change=augmentation)
    from timm.data import create_transform

    taken = sorted(set(augmentation) & set(TAKEN))
    if taken:
        raise ValueError(
            f"`augmentation` must not have {taken}, which the backbone decides."
        )
    # Pixels stay small integers until they are on the device. Erased regions may be
    # filled with noise, which needs normalised pixels.
    try:
        return create_transform(
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


def _changed(image: Image.Image, *, change: Callable[..., Any]) -> Image.Image:
    changed = change(image)
    if not isinstance(changed, Image.Image):
        raise ValueError(
            "`augmentation` must return a Pillow image; got "
            f"{type(changed).__module__}.{type(changed).__qualname__}."
        )
    return changed.convert("RGB")


@dataclass(eq=False)
class ImageSource(Source, Dataset):
    """Images that are read and resized batch by batch, whatever their proportions.

    Parameters
    ----------
    images : Images
    size : (height, width)
    interpolation : {"nearest", "bilinear", "bicubic", "lanczos", "box", "hamming"}
    augment : callable, optional
        A random change of an RGB image in training. It returns an image, which is then
        resized, or a Tensor of shape (3, height, width).
    num_workers : int
        Number of processes that read images. 0: this process reads them.
    pin_memory : bool
        Whether batches are put in memory that a GPU copies from fast.
    """

    images: Images
    size: tuple[int, int]
    interpolation: str
    augment: Callable[[Image.Image], Any] | None = None
    num_workers: int = 0
    pin_memory: bool = False

    evaluated_at_once = 128

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, sample: tuple[int, int | None]) -> tuple[Tensor, int]:
        """Return an image of shape (height, width, 3) and its position.

        The pixels are of type uint8, or normalised by the augmentation. The seed is
        that of the augmentation.
        """
        i, seed = sample
        if self.augment is None or seed is None:
            image = self.images.open(i, at_least=self.size)
        else:
            image = self.images.open(i)  # whole: a part of it may be enlarged
            with everything_seeded(seed):
                image = self.augment(image)
            if isinstance(image, Tensor):
                return image.permute(1, 2, 0), i
        height, width = self.size
        resample = Image.Resampling[self.interpolation.upper()]
        return torch.from_numpy(np.array(image.resize((width, height), resample))), i

    def collate(self, samples: list[tuple[Tensor, int]]) -> Any:
        """Return the images of a batch, and their positions; there may be none."""
        if samples:
            return default_collate(samples)
        pixels = torch.empty(0, *self.size, 3, dtype=torch.uint8)
        return pixels, torch.empty(0, dtype=torch.int64)

    def batches(
        self, batch_size: int, random: RandomStream | None = None
    ) -> "ImageBatches":
        """See `Source.batches`."""
        return ImageBatches(self, batch_size, random)

    def take(self, rows: np.ndarray) -> "ImageSource":
        """See `Source.take`."""
        return ImageSource(self.images[rows], self.size, self.interpolation)


class ImageBatches:
    """Iterate over an `ImageSource`. The workers live as long as this object."""

    def __init__(
        self, source: ImageSource, batch_size: int, random: RandomStream | None
    ) -> None:
        self._epoch = epoch = _Epoch(source, batch_size, random)
        self.part: Callable[[int], slice] = all_rows
        # No more processes than there are batches.
        num_workers = min(source.num_workers, len(epoch) if len(epoch) > 1 else 0)
        self._loader = DataLoader(
            source,
            batch_sampler=epoch,
            collate_fn=source.collate,
            num_workers=num_workers,
            persistent_workers=num_workers > 0,
            pin_memory=source.pin_memory,
            generator=torch.Generator(),  # keeps the global generator as it is
        )

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        self._epoch.part = self.part
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
            message = str(error).rpartition("\nValueError: ")[2].strip()
            raise ValueError(message) from error


class _Epoch:
    """Batches of positions, each with a seed if images are changed at random.

    With a seed per image, an epoch does not depend on the number of workers.
    """

    def __init__(
        self, source: ImageSource, batch_size: int, random: RandomStream | None
    ) -> None:
        self.random = random
        self.part: Callable[[int], slice] = all_rows
        self.is_seeded = source.augment is not None
        self.sizes = batch_sizes(
            len(source), batch_size, is_trained_on=random is not None
        )

    def __len__(self) -> int:
        return len(self.sizes)

    def __iter__(self) -> Iterator[list[tuple[int, int | None]]]:
        n_samples = sum(self.sizes)
        order = list(range(n_samples))
        seeds: list[Any] = [None] * n_samples
        if self.random is not None:
            order = self.random.permutation(n_samples).tolist()
            if self.is_seeded:
                seeds = self.random.seeds(n_samples).tolist()
        samples = zip(order, seeds, strict=True)
        for size in self.sizes:
            yield list(islice(samples, size))[self.part(size)]
