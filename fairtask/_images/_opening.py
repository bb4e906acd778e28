"""Images: files, Pillow images or pixels, each opened as RGB when it is needed."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import joblib
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from fairtask._threads import fork_safe_lock
from fairtask._validation import warn_user

__all__ = ["Images", "load_pixels"]

MAX_NAMED = 5
"""Largest number of images that an error message names."""

PILLOW = fork_safe_lock()
"""Held while a Pillow image reads its file."""


def load_pixels(image: Image.Image) -> None:
    """Read the file of a Pillow image that was opened but not read.

    Threads and processes share the position in the file, and would read each other's
    bytes. An image that cannot be read fails again where it is needed.
    """
    with PILLOW, suppress(Exception):  # Pillow's plugins raise errors of any type
        image.load()
        image.getexif()


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

    def __getitem__(self, index: Any) -> "Images":
        return Images(self.entries[index], self.rows[index])

    @property
    def are_files(self) -> bool:
        """Whether there are paths among the images."""
        return any(isinstance(entry, str) for entry in self.entries)

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
        missing: dict[int, Exception] = {
            i: FileNotFoundError()
            for i, entry in enumerate(self.entries)
            if entry is None or (isinstance(entry, str) and not Path(entry).is_file())
        }
        if missing:
            raise ValueError(self._listed(missing))

    def readable(self, on_error: Literal["raise", "skip"]) -> np.ndarray | None:
        """Read every image once; return positions of the readable ones, None for all.

        With ``on_error="raise"``, a ValueError counts the others and names the first.
        """
        problems = self._problems()
        if not problems:
            return None
        if on_error == "raise":
            raise ValueError(
                f"{self._listed(problems)} With on_error='skip' `fit` leaves them out."
            )
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


def _open_rgb(entry: Any, at_least: tuple[int, int] | None) -> Image.Image:
    """Return a new RGB image, see `Images.open`."""
    if entry is None:
        raise ValueError("its value is missing")
    if isinstance(entry, str):
        with Image.open(entry) as opened:
            if at_least is not None:
                # Twice the size that is needed, so that resizing loses nothing.
                height, width = at_least
                opened.draft("RGB", (2 * width, 2 * height))
            image = ImageOps.exif_transpose(opened)
    elif isinstance(entry, Image.Image):
        with PILLOW:
            image = ImageOps.exif_transpose(entry)
    else:
        if entry.dtype != np.uint8:
            entry = np.round(255 * entry.astype(np.float32).clip(0, 1)).astype(np.uint8)
        is_gray = entry.ndim == 3 and entry.shape[2] == 1
        image = Image.fromarray(entry[:, :, 0] if is_gray else entry)
    if image.mode == "F":
        raise ValueError("its pixels are floating-point numbers of unknown range")
    _scale_transparent_color(image)
    if image.mode.startswith("I"):
        image = _eight_bits(image)
    elif image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image if image.mode == "RGB" else image.convert("RGB")


def _eight_bits(image: Image.Image) -> Image.Image:
    """Return an integer grayscale image as "L", white where it is transparent.

    Mode "I" has no fixed number of bits. It is taken for 16 if a pixel exceeds 255.
    """
    pixels = np.asarray(image).astype(np.int64)
    is_transparent = pixels == image.info.get("transparency", -1)
    if image.mode != "I" or pixels.max() > 255:
        pixels = pixels * 255 // 65_535
    pixels[is_transparent] = 255
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def _scale_transparent_color(image: Image.Image) -> None:
    """Give the transparent color of a 16-bit RGB file the 8 bits of its pixels."""
    color = image.info.get("transparency")
    if image.mode == "RGB" and isinstance(color, tuple) and max(color) > 255:
        image.info["transparency"] = tuple(value >> 8 for value in color)
