import io
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from PIL import Image

from fairtask._images._modality import as_images
from fairtask._images._opening import Images

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)
# No two pixels are equal; shape (2, 3, 3).
PIXELS = np.arange(18, dtype=np.uint8).reshape(2, 3, 3) * 10


def pixels(X, i=0):
    """Return image i as RGB, shape (H, W, 3)."""
    return np.asarray(as_images(X).open(i))


@pytest.fixture
def save(tmp_path):
    """Save an image, from its pixels or of Pillow, and return its path."""

    def save(image, name="image.png", **kwargs):
        if isinstance(image, np.ndarray):
            image = Image.fromarray(image)
        image.save(tmp_path / name, **kwargs)
        return tmp_path / name

    return save


@pytest.fixture
def files(save):
    """Paths of three images, and their pixels."""
    rng = np.random.default_rng(0)
    arrays = rng.integers(256, size=(3, 8, 6, 3), dtype=np.uint8)
    return [save(array, f"{i}.png") for i, array in enumerate(arrays)], arrays


class TestArrays:
    def test_channels_first(self):
        X = np.moveaxis(np.tile(PIXELS, (1, 5, 5, 1)), 3, 1)
        np.testing.assert_array_equal(pixels(X), np.moveaxis(X[0], 0, 2))

    def test_tensor(self):
        X = torch.arange(2 * 3 * 5 * 7, dtype=torch.uint8).reshape(2, 3, 5, 7)
        np.testing.assert_array_equal(pixels(X, 1), X[1].permute(1, 2, 0))

    @pytest.mark.parametrize(
        "X",
        [
            PIXELS,
            PIXELS.astype(np.int64),
            PIXELS / 255,
            (PIXELS / 255).astype(np.float16),  # rounded to 256 levels
        ],
        ids=lambda X: str(X.dtype),
    )
    def test_types_with_channels_last(self, X):
        np.testing.assert_array_equal(pixels(X[None]), PIXELS)

    def test_floats_that_exceed_one_by_rounding(self):
        X = np.full((1, 8, 8, 3), 1 + 1e-6)
        assert pixels(X).min() == 255
        assert pixels(-1e-6 * X).max() == 0

    def test_truth_values_are_black_and_white(self):
        X = np.array([[[True, False]]])
        assert pixels(X).tolist() == [[[255] * 3, [0] * 3]]

    @pytest.mark.parametrize("shape", [(1, 2, 5), (1, 2, 3, 1), (1, 1, 2, 5)])
    def test_grayscale(self, shape):
        X = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
        found = pixels(X)
        assert found.shape[2] == 3
        np.testing.assert_array_equal(found[..., 0].ravel(), X.ravel())
        np.testing.assert_array_equal(found[..., 0], found[..., 2])

    def test_transparency_is_put_on_white(self):
        row = [[*RED, 255], [*RED, 0], [*RED, 51]]
        X = np.array([[row, row]], dtype=np.uint8)
        # A fifth of red and four fifths of white.
        assert pixels(X)[0].tolist() == [[255, 0, 0], [255] * 3, [255, 204, 204]]

    def test_list_of_arrays_of_different_sizes(self):
        X = [PIXELS, PIXELS[:, :2] / 255]
        assert [pixels(X, i).shape for i in range(2)] == [(2, 3, 3), (2, 2, 3)]

    @pytest.mark.parametrize(
        ("X", "message"),
        [
            (np.zeros((5, 4)), r"have the shape .* got an array of shape \(5, 4\)"),
            (np.zeros((2, 3, 8, 3)), r"of the two must be clear; .*\(2, 3, 8, 3\)"),
            (np.zeros((2, 5, 5, 5)), r"1, 3 or 4 channels"),
            (np.zeros((0, 8, 8, 3)), "at least one image"),
            (np.zeros((1, 0, 8, 3)), r"without pixels.*\(1, 0, 8, 3\)"),
            (np.full((1, 8, 8, 3), 1.5), r"in\s\[0, 1\]; got float64 from 1.5 to 1.5"),
            (np.full((1, 8, 8, 3), np.nan), "got float64 from nan"),
            (np.full((1, 8, 8, 3), 300), r"in \[0, 255\].*from 300 to 300"),
            (np.full((1, 8, 8, 3), -1), "from -1 to -1"),
            (np.zeros((1, 8, 8, 3), complex), "its type is complex128"),
            ([np.zeros((8, 8, 3)), np.zeros((8, 8, 2))], "the image of row 1"),
            (np.zeros((8, 8, 3)), r"the shape \(8, 8, 3\) of a single image"),
            ([(np.zeros((8, 8, 3)), 1)], "the value of row 0 is tuple"),
            ({"a.png", "b.png"}, "must be a list, an array"),
            ((name for name in ["a.png"]), "must be a list, an array"),
            ([np.zeros((8, 8, 3)), 3], "the value of row 1 is int"),
            ("face.png", "one image per sample; got a single str"),
            (Image.new("RGB", (2, 2)), "got a single Image"),
            (3, "must be a list, an array"),
            ([], "at least one image"),
            (pd.DataFrame({"a": ["x"], "b": ["y"]}), r"one column.*\['a', 'b'\]"),
        ],
    )
    def test_wrong_input(self, X, message):
        with pytest.raises(ValueError, match=message):
            as_images(X)


class TestFiles:
    @pytest.mark.parametrize(
        "collect",
        [
            list,
            tuple,
            lambda paths: [str(p) for p in paths],
            lambda paths: np.array([str(p) for p in paths]),
            lambda paths: np.array(paths, dtype=object),
            lambda paths: np.array(paths, dtype=object)[:, None],
            lambda paths: pd.Series(paths, index=[7, 5, 5]),
            lambda paths: pd.Series([str(p) for p in paths], dtype="string"),
            lambda paths: pd.Series([str(p) for p in paths], dtype="category"),
            lambda paths: pd.DataFrame({"file": paths}),
            lambda paths: pl.Series([str(p) for p in paths]),
            lambda paths: pl.DataFrame({"file": [str(p) for p in paths]}),
            lambda paths: [Image.open(p) for p in paths],
        ],
    )
    def test_collections(self, files, collect):
        paths, arrays = files
        images = as_images(collect(paths))
        assert len(images) == 3
        for i, array in enumerate(arrays):
            np.testing.assert_array_equal(images.open(i), array)

    def test_rows_are_taken_and_keep_their_numbers(self, files):
        paths, arrays = files
        images = as_images(paths)[np.array([2, 0])]
        np.testing.assert_array_equal(images.open(0), arrays[2])
        paths[2].unlink()
        with pytest.raises(ValueError, match=r"row 2, .*2\.png.*no such file"):
            images.open(0)

    @pytest.mark.parametrize("missing", [None, np.nan, pd.NA])
    def test_a_missing_path_is_not_a_file_named_nan(self, files, missing):
        images = as_images(pd.Series([files[0][0], missing], dtype=object))
        for check in (images.check_exist, lambda: images.readable("raise")):
            with pytest.raises(ValueError, match=r"row 1 \(its value is missing\)"):
                check()

    @pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "YCbCr", "LA", "RGBA"])
    def test_modes(self, save, mode):
        suffix = "jpg" if mode in ("CMYK", "YCbCr") else "png"
        image = Image.new("RGB", (16, 16), "white").convert(mode)
        found = pixels([save(image, f"image.{suffix}")])
        assert found.shape == (16, 16, 3)
        assert found.min() >= 254

    def test_palette_with_a_transparent_color(self, save):
        image = Image.new("P", (2, 1), 0)
        image.putpalette([*RED, *GREEN])
        image.putpixel((1, 0), 1)
        path = save(image, transparency=0)
        assert pixels([path]).tolist() == [[[255] * 3, [0, 255, 0]]]

    def test_sixteen_bits(self, save):
        gray = np.array([[0, 257, 65_535]], dtype=np.uint16)
        assert pixels([save(gray)])[0, :, 0].tolist() == [0, 1, 255]
        # Not a guess: a dark image stays dark.
        assert pixels([save(np.full((2, 2), 200, np.uint16))]).max() == 0

    def test_a_transparent_gray_of_sixteen_bits(self, save):
        gray = np.array([[0, 257, 1000, 65_535]], dtype=np.uint16)
        path = save(gray, transparency=257)
        assert pixels([path])[0, :, 0].tolist() == [0, 255, 3, 255]

    def test_a_transparent_color_of_sixteen_bits(self, tmp_path):
        color = [0x0312, 0x0734, 0x0B56]
        path = tmp_path / "image.png"
        path.write_bytes(png_of_sixteen_bits([color, [65_535, 0, 0]], color))
        assert pixels([path])[0].tolist() == [[255] * 3, [255, 0, 0]]

    def test_floating_point_pixels_of_unknown_range(self, save):
        path = save(np.full((2, 2), 0.5, np.float32), "image.tiff")
        with pytest.raises(ValueError, match=r"row 0.*image\.tiff.*unknown range"):
            pixels([path])
        # Before a training starts, not in it.
        with pytest.raises(ValueError, match=r"row 0.*unknown range"):
            as_images([path]).readable("raise")

    def test_orientation(self, save):
        # Red on the left, blue on the right; the camera was turned by a quarter.
        image = Image.new("RGB", (32, 16), RED)
        image.paste(BLUE, (16, 0, 32, 16))
        exif = Image.Exif()
        exif[0x0112] = 6
        found = pixels([save(image, "image.jpg", exif=exif, quality=95)])
        assert found.shape == (32, 16, 3)
        assert found[0, 0].argmax() == 0  # red is above
        assert found[-1, 0].argmax() == 2

    def test_large_jpeg_is_decoded_small(self, save):
        gradient = Image.linear_gradient("L").resize((1600, 800))
        images = as_images([save(gradient, "image.jpg")])
        small = images.open(0, at_least=(100, 100))
        # Not smaller than twice what is needed.
        assert small.size == (400, 200)
        whole = images.open(0).resize(small.size, Image.Resampling.BOX)
        assert np.abs(np.asarray(small, float) - np.asarray(whole, float)).max() < 3


def png_of_sixteen_bits(row, transparent):
    """A PNG of one row of RGB, which Pillow does not write."""

    def chunk(name, content):
        check = zlib.crc32(name + content)
        return struct.pack(">I", len(content)) + name + content + check.to_bytes(4)

    header = struct.pack(">IIBBBBB", len(row), 1, 16, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        [
            chunk(b"IHDR", header),
            chunk(b"tRNS", np.array(transparent, ">u2").tobytes()),
            chunk(b"IDAT", zlib.compress(b"\0" + np.array(row, ">u2").tobytes())),
            chunk(b"IEND", b""),
        ]
    )


class TestOpenedImages:
    """Images that Pillow has opened and not read, which share one place in a file."""

    @pytest.fixture
    def path(self, save):
        rng = np.random.default_rng(0)
        return save(rng.integers(256, size=(200, 200, 3), dtype=np.uint8))

    def test_the_same_image_several_times(self, path):
        for _ in range(5):
            assert as_images([Image.open(path)] * 16).readable("raise") is None

    def test_several_images_of_one_file(self, path):
        with path.open("rb") as file:
            first, second = Image.open(file), Image.open(file)
            images = as_images([first, second] * 8)
            np.testing.assert_array_equal(images.open(0), np.asarray(Image.open(path)))
            np.testing.assert_array_equal(images.open(1), images.open(0))

    def test_threads_take_the_same_images(self, path):
        opened = [Image.open(path)] * 8
        with ThreadPoolExecutor(4) as pool:
            found = pool.map(lambda _: as_images(opened).readable("raise"), range(8))
            assert list(found) == [None] * 8

    @pytest.mark.parametrize("kind", ["png", "jpeg", "gif", "tiff", "bmp", "webp"])
    def test_a_broken_image_stays_broken(self, kind, path):
        file = io.BytesIO()
        Image.open(path).save(file, kind)
        try:
            image = Image.open(io.BytesIO(file.getvalue()[: file.tell() // 2]))
        except OSError:  # some formats are noticed when they are opened
            return
        images = as_images([image, Image.open(path)])
        for _ in range(3):
            with pytest.warns(UserWarning, match="1 image of 2"):
                assert images.readable("skip").tolist() == [1]


class TestProblems:
    @pytest.fixture
    def broken(self, files, save, tmp_path):
        """Paths of which 1 is missing, 3 is cut off and 4 is text."""
        paths, _ = files
        rng = np.random.default_rng(0)
        cut = save(rng.integers(256, size=(64, 64, 3), dtype=np.uint8), "cut.jpg")
        cut.write_bytes(cut.read_bytes()[:2000])
        text = tmp_path / "text.png"
        text.write_text("not an image")
        return [paths[0], tmp_path / "missing.png", paths[1], cut, text, paths[2]]

    def test_skipped(self, broken):
        with pytest.warns(UserWarning, match=r"3 images of 6 .* They are left out"):
            rows = as_images(broken).readable("skip")
        assert rows.tolist() == [0, 2, 5]

    @pytest.mark.parametrize(
        "message",
        [
            "^`X` has 3 images of 6 that",
            "row 1, .*missing.png' .there is no such file",
            "row 3, .*cut.jpg' .*truncated",
            "row 4, .*text.png' .it is not an image",
            "on_error='skip'",
        ],
    )
    def test_all_are_named_at_once(self, broken, message):
        with pytest.raises(ValueError, match=message):
            as_images(broken).readable("raise")

    def test_many_are_counted(self, tmp_path):
        paths = [tmp_path / str(i) for i in range(12)]
        with pytest.raises(ValueError, match=r"12 images of 12.*4, .*and 7 more") as e:
            as_images(paths).check_exist()
        assert "row 5" not in str(e.value)

    def test_folder(self, tmp_path):
        images = as_images([tmp_path])
        for check in (images.check_exist, lambda: images.readable("raise")):
            with pytest.raises(ValueError, match="row 0"):
                check()

    def test_cut_off_image_of_pillow(self, broken):
        with (
            Image.open(broken[3]) as image,
            pytest.raises(ValueError, match=r"row 0, a JpegImageFile .*truncated"),
        ):
            as_images([image]).readable("raise")

    def test_nothing_is_read_to_see_whether_files_exist(self, broken):
        as_images([path for path in broken if Path(path).exists()]).check_exist()

    def test_pixels_need_no_reading(self, monkeypatch):
        monkeypatch.setattr(Images, "open", None)
        assert as_images(np.zeros((3, 8, 8, 3))).readable("raise") is None
