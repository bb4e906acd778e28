"""Images as the user passes them: checked, and opened one by one."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import joblib
import numpy as np
import pandas as pd
import torch
from PIL import Image, ImageOps, UnidentifiedImageError

from fairtask._frames import as_pandas
from fairtask._validation import warn_user

__all__ = ["Images", "as_images"]

CHANNELS = (1, 3, 4)
"""Numbers of channels of grayscale, RGB and RGBA."""

ORIENTATION = 0x0112
"""EXIF tag of the orientation."""

ROUNDING = 1e-4
"""How far floats may lie outside of [0, 1], as they do after an interpolation."""

MAX_NAMED = 5
"""Largest number of images that an error message names."""


class Images:
    """Images in the order of the samples. Each is opened when it is needed.

    Parameters
    ----------
    entries : ndarray of shape (n_samples,) or (n_samples, H, W[, C])
        Paths, Pillow images or pixels as objects; or the pixels of all images.
    rows : ndarray of shape (n_samples,), optional
        Position of each image in the user's data, for error messages.
    """

    def __init__(self, entries: np.ndarray, rows: np.ndarray | None = None) -> None:
        if not len(entries):
            raise ValueError("`X` must hold at least one image; found 0 sample(s).")
        self.entries = entries
        self.rows = np.arange(len(entries)) if rows is None else rows

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def are_files(self) -> bool:
        """Whether there are paths among the images."""
        return self.entries.ndim == 1 and any(isinstance(e, str) for e in self.entries)

    def __getitem__(self, index: Any) -> "Images":
        return Images(self.entries[index], self.rows[index])

    def open(self, i: int, *, at_least: tuple[int, int] | None = None) -> Image.Image:
        """Return an image as RGB, upright, with white in place of transparency.

        With `at_least`, the (height, width) that is needed, a large JPEG is decoded at
        a fraction of its size, which is several times faster. A ValueError names the
        row of an image that cannot be read.
        """
        try:
            return _open_rgb(self.entries[i], at_least)
        except Exception as error:  # Pillow's plugins raise errors of any type
            raise ValueError(
                f"`X` has an image that cannot be read: {self._describe(i, error)}."
            ) from error

    def check_exist(self) -> None:
        """Raise a ValueError if the file of an image is not there."""
        if self.entries.ndim > 1:  # pixels
            return
        missing: dict[int, Exception] = {
            i: FileNotFoundError()
            for i, entry in enumerate(self.entries)
            if entry is None or (isinstance(entry, str) and not Path(entry).is_file())
        }
        if missing:
            raise ValueError(self._listed(missing))

    def readable(self, on_error: Literal["raise", "skip"]) -> np.ndarray:
        """Read every image once; return the positions of the readable ones.

        With ``on_error="raise"``, a ValueError counts the others and names the first.
        """
        problems = self._problems()
        if problems and on_error == "raise":
            raise ValueError(
                f"{self._listed(problems)} With on_error='skip' `fit` leaves them out."
            )
        if problems:
            warn_user(UserWarning, f"{self._listed(problems)} They are left out.")
        return np.setdiff1d(np.arange(len(self)), list(problems))

    def _problems(self) -> dict[int, Exception]:
        """Read every image once; return the errors by position."""
        if self.entries.ndim > 1:  # pixels, which have been checked
            return {}

        def problem_of(entry: Any) -> Exception | None:
            try:
                # The smallest decoding also detects a file that ends too early.
                _open_rgb(entry, at_least=(1, 1))
            except Exception as error:  # see `open`
                return error
            return None

        # Pillow releases the interpreter lock while it decodes.
        with ThreadPoolExecutor(joblib.cpu_count()) as pool:
            found = enumerate(pool.map(problem_of, self.entries))
            return {i: error for i, error in found if error is not None}

    def _listed(self, problems: dict[int, Exception]) -> str:
        n = len(problems)
        named = [self._describe(i, problems[i]) for i in list(problems)[:MAX_NAMED]]
        if n > MAX_NAMED:
            named.append(f"and {n - MAX_NAMED} more")
        return (
            f"`X` has {n} image{'s' if n > 1 else ''} of {len(self)} that cannot be "
            f"read: {'; '.join(named)}."
        )

    def _describe(self, i: int, error: Exception) -> str:
        entry = self.entries[i]
        if entry is None:
            return f"row {self.rows[i]} (its value is missing)"
        if isinstance(error, FileNotFoundError):
            reason = "there is no such file"
        elif isinstance(error, UnidentifiedImageError):
            reason = "it is not an image"
        else:
            reason = str(error).replace(f" {entry!r}", "")
        value = repr(entry) if isinstance(entry, str) else f"a {type(entry).__name__}"
        return f"row {self.rows[i]}, {value} ({reason})"


def as_images(X: Any) -> Images:
    """Check images, without opening files.

    `X` is an array of pixels of shape (n, H, W, C), (n, C, H, W) or (n, H, W), integers
    in [0, 255] or floats in [0, 1]; or a list, array, Series or one-column data frame
    of paths, Pillow images or arrays. Everything else is a ValueError.
    """
    if isinstance(X, Images):
        return X
    if isinstance(X, str | bytes | os.PathLike | Image.Image):
        raise ValueError(
            f"`X` must hold one image per sample; got a single {type(X).__name__}. "
            "Pass a list."
        )
    X = as_pandas(_without_tensor(X), "X")
    if isinstance(X, pd.DataFrame):
        if X.shape[1] != 1:
            raise ValueError(
                "`X` must have one column, which holds the images; got the columns "
                f"{list(X.columns)}."
            )
        X = X.iloc[:, 0]
    if isinstance(X, np.ndarray) and X.dtype.kind in "biuf":
        return Images(_pixels(X))
    if isinstance(X, np.ndarray) and X.ndim == 2 and X.shape[1] == 1:
        X = X[:, 0]
    if isinstance(X, np.ndarray) and X.ndim != 1:
        raise ValueError(
            f"`X` must hold images; got an array of {X.dtype} of shape {X.shape}."
        )
    if (
        isinstance(X, dict)
        or not hasattr(X, "__len__")
        or not hasattr(X, "__getitem__")
    ):
        raise ValueError(f"`X` must hold images; got {type(X).__name__}.")
    values = list(X)
    entries = np.empty(len(values), dtype=object)
    for i, value in enumerate(values):
        entries[i] = _entry(value, i)
    return Images(entries)


def _without_tensor(value: Any) -> Any:
    return value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else value


def _entry(value: Any, row: int) -> Any:
    """Return a path as str, a Pillow image, pixels, or None for a missing value."""
    if isinstance(value, str | os.PathLike):
        return os.fsdecode(value)
    if isinstance(value, Image.Image):
        return value
    value = _without_tensor(value)
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        try:
            return _pixels(value[np.newaxis])[0]
        except ValueError as error:
            raise ValueError(f"{error} This is the image of row {row}.") from error
    if value is None or value is pd.NA or (isinstance(value, float) and value != value):
        return None  # `Images.readable` may leave it out
    raise ValueError(
        "`X` must hold paths, Pillow images or arrays of pixels, one per sample; the "
        f"value of row {row} is {type(value).__name__}."
    )


def _pixels(X: np.ndarray) -> np.ndarray:
    """Return pixels with the channels last, as uint8 or as floats in [0, 1]."""
    if X.ndim == 4:
        X = _channels_last(X)
    elif X.ndim == 3 and X.shape[2] in CHANNELS[1:]:
        raise ValueError(
            f"`X` must hold one image per sample; got the shape {X.shape} of a single "
            "image. Pass a list, or X[np.newaxis]."
        )
    elif X.ndim != 3:
        raise ValueError(
            "`X` must have the shape (n, H, W, C), (n, C, H, W) or (n, H, W), or be a "
            f"list with an image per sample; got an array of shape {X.shape}."
        )
    if 0 in X.shape[1:]:
        raise ValueError(f"`X` has images without pixels: its shape is {X.shape}.")
    if X.dtype == np.uint8 or not len(X):
        return X
    low, high = X.min(), X.max()
    is_integer = X.dtype.kind in "iu"
    limits = (0, 255) if is_integer else (-ROUNDING, 1 + ROUNDING)
    # The comparison is false for NaN.
    if not (low >= limits[0] and high <= limits[1]):
        raise ValueError(
            "`X` must have integer pixels in [0, 255] or floating-point pixels in "
            f"[0, 1]; got {X.dtype} from {low} to {high}."
        )
    return X.astype(np.uint8) if is_integer else X


def _channels_last(X: np.ndarray) -> np.ndarray:
    first, last = X.shape[1] in CHANNELS, X.shape[3] in CHANNELS
    if first == last:
        raise ValueError(
            "`X` must have 1, 3 or 4 channels, as its last axis or as its second, and "
            f"which of the two must be clear; got the shape {X.shape}."
        )
    return np.moveaxis(X, 1, 3) if first else X


def _load(entry: Any, at_least: tuple[int, int] | None) -> Image.Image:
    """Return an image with its pixels in memory."""
    if entry is None:
        raise ValueError("its value is missing")
    if isinstance(entry, str):
        with Image.open(entry) as image:
            if at_least is not None:
                # Twice the size that is needed, so that resizing loses nothing.
                height, width = at_least
                image.draft("RGB", (2 * width, 2 * height))
            image.load()
            return image
    if isinstance(entry, Image.Image):
        entry.load()
        return entry
    if entry.dtype != np.uint8:
        entry = np.round(255 * entry.astype(np.float32).clip(0, 1)).astype(np.uint8)
    if entry.ndim == 3 and entry.shape[2] == 1:
        entry = entry[:, :, 0]
    return Image.fromarray(entry)


def _open_rgb(entry: Any, at_least: tuple[int, int] | None) -> Image.Image:
    image = _load(entry, at_least)
    if image.getexif().get(ORIENTATION, 1) != 1:
        image = ImageOps.exif_transpose(image)
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode.startswith("I"):
        return _eight_bits(image).convert("RGB")
    if image.mode == "F":
        raise ValueError("its pixels are floating-point numbers of unknown range")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image.convert("RGB")


def _eight_bits(image: Image.Image) -> Image.Image:
    """Return an integer grayscale image as "L".

    Mode "I" has no fixed number of bits. It is taken for 16 if a pixel exceeds 255.
    """
    pixels = np.asarray(image).astype(np.int64)
    if image.mode != "I" or pixels.max() > 255:
        pixels = pixels * 255 // 65_535
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
