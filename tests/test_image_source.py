import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import transforms

from fairtask._images import _source
from fairtask._images._modality import as_images
from fairtask._images._opening import Images
from fairtask._images._source import ImageSource
from fairtask._random import RandomStream

SIZE = (12, 16)


def make_augmentation(augmentation):
    half = (0.5, 0.5, 0.5)
    config = {"size": SIZE, "interpolation": "bilinear", "mean": half, "std": half}
    return _source.make_augmentation(augmentation, config)


def make_images(n=10, height=20, width=24):
    rng = np.random.default_rng(0)
    return rng.integers(256, size=(n, height, width, 3), dtype=np.uint8)


def make_source(images=10, augmentation=None, **kwargs):
    """Return a source of images, or of a number of random images."""
    images = make_images(images) if isinstance(images, int) else images
    if augmentation is not None:
        augmentation = make_augmentation(augmentation)
    return ImageSource(
        as_images(images), SIZE, "bilinear", augment=augmentation, **kwargs
    )


def resized(image, interpolation="bilinear"):
    """Return an image as the source does without an augmentation."""
    return ImageSource(as_images([image]), SIZE, interpolation)[0, None][0]


def an_epoch(source, seed=None):
    """Return pixels and positions of all samples; random order with a seed."""
    stream = None if seed is None else RandomStream(seed)
    batches = list(source.batches(4, stream))
    return torch.cat([X for X, _ in batches]), torch.cat([rows for _, rows in batches])


@pytest.fixture
def image():
    return Image.fromarray(make_images(1)[0])


@pytest.fixture
def spawn(monkeypatch):
    """Start processes as on Windows and macOS: they are sent all that they need."""
    loader = _source.DataLoader

    def spawning(*args, num_workers, **kwargs):
        kwargs["multiprocessing_context"] = "spawn" if num_workers else None
        return loader(*args, num_workers=num_workers, **kwargs)

    monkeypatch.setattr(_source, "DataLoader", spawning)


class TestResize:
    def test_to_the_size_whatever_the_proportions(self, image):
        found = resized(image, "bicubic")
        expected = np.asarray(image.resize((16, 12), Image.Resampling.BICUBIC))
        assert found.shape == (12, 16, 3)
        np.testing.assert_array_equal(found, expected)

    def test_an_image_of_the_right_size_is_kept(self):
        X = make_images(1, 12, 16)[0]
        np.testing.assert_array_equal(resized(Image.fromarray(X)), X)


class TestAugmentation:
    def test_arguments_of_timm(self, image):
        augment = make_augmentation({"hflip": 1.0, "scale": (1, 1)})
        assert augment(image).shape == (3, 12, 16)
        assert augment(image).dtype == torch.uint8

    def test_without_a_change_timm_resizes_like_resize(self):
        # The crop is the whole image: its proportions are those of the size.
        image = Image.fromarray(make_images(1, 24, 32)[0])
        augment = make_augmentation(
            {"scale": (1, 1), "ratio": (4 / 3, 4 / 3), "hflip": 0, "color_jitter": 0},
        )
        np.testing.assert_array_equal(augment(image).permute(1, 2, 0), resized(image))

    def test_erased_regions_are_noise_on_normalised_pixels(self):
        image = Image.new("RGB", (16, 12), (255, 255, 255))
        augment = make_augmentation(
            {"re_prob": 1.0, "re_mode": "pixel", "color_jitter": 0}
        )
        found = augment(image)
        assert found.dtype == torch.float32
        assert 0 < (found != 1).float().mean() < 1  # white is (1 - .5) / .5

    def test_callable(self, image):
        flip = transforms.RandomHorizontalFlip(p=1)
        X, _ = an_epoch(make_source([image], augmentation=flip), seed=0)
        mirrored = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        np.testing.assert_array_equal(X[0].permute(1, 2, 0), resized(mirrored))

    @pytest.mark.parametrize(
        ("augmentation", "message"),
        [
            ({"bad": 1}, r"arguments of timm.*'bad'"),
            ({"mean": 1, "input_size": 3}, r"must not have \['input_size', 'mean'\]"),
            ({"auto_augment": "nothing"}, "arguments of timm"),
            (transforms.ToTensor(), r"must return a Pillow image; got torch\.Tensor"),
        ],
    )
    def test_wrong_arguments(self, augmentation, message, image):
        with pytest.raises(ValueError, match=message):
            make_augmentation(augmentation)(image)

    def test_may_work_in_place(self):
        def blacken(image):
            image.paste("black", (0, 0, *image.size))
            return image

        image = Image.new("RGB", (16, 12), "white")
        pixels = np.asarray(image).copy()
        X, _ = an_epoch(make_source([image, pixels], augmentation=blacken), seed=0)
        assert X.max() == 0
        assert image.getpixel((0, 0)) == (255, 255, 255)
        assert pixels.min() == 255


class TestBatches:
    def test_in_order(self, image):
        batches = list(make_source().batches(4))
        assert [X.shape for X, _ in batches] == [(4, 3, 12, 16)] * 2 + [(2, 3, 12, 16)]
        assert [rows.tolist() for _, rows in batches] == [
            [0, 1, 2, 3], [4, 5, 6, 7], [8, 9]
        ]  # fmt: skip
        X, _ = batches[0]
        np.testing.assert_array_equal(X[0].permute(1, 2, 0), resized(image))
        assert X.is_contiguous(memory_format=torch.channels_last)

    def test_random_order_with_its_positions(self):
        in_order, _ = an_epoch(make_source())
        X, rows = an_epoch(make_source(), seed=0)
        assert sorted(rows.tolist()) == list(range(10)) != rows.tolist()
        assert torch.equal(X, in_order[rows])

    def test_epochs_differ(self):
        batches = make_source().batches(10, RandomStream(0))
        orders = [next(iter(batches))[1].tolist() for _ in range(2)]
        assert orders[0] != orders[1]

    @pytest.mark.parametrize("augmentation", [None, {}])
    def test_any_number_of_workers_makes_the_same_batches(self, augmentation):
        X, rows = an_epoch(make_source(augmentation=augmentation), seed=0)
        source = make_source(augmentation=augmentation, num_workers=2)
        X_workers, rows_workers = an_epoch(source, seed=0)
        assert torch.equal(X, X_workers)
        assert torch.equal(rows, rows_workers)

    @pytest.mark.slow
    def test_spawned_workers_make_the_same_batches(self, spawn):
        alone, _ = an_epoch(make_source(augmentation={}), seed=0)
        source = make_source(augmentation={}, num_workers=1)
        assert torch.equal(alone, an_epoch(source, seed=0)[0])

    @pytest.mark.filterwarnings("ignore:Got pickle error")  # torch adds its own advice
    def test_augmentation_that_cannot_be_sent(self, spawn):
        source = make_source(augmentation=lambda image: image, num_workers=1)
        with pytest.raises(
            ValueError, match=r"`augmentation` cannot be sent.*num_work"
        ):
            an_epoch(source)

    def test_another_seed_augments_otherwise(self):
        first, again, other = (
            an_epoch(make_source([image] * 4, augmentation={}), seed=seed)[0]
            for image in make_images(1)
            for seed in (0, 0, 1)
        )
        assert torch.equal(first, again)
        assert not torch.equal(first, other)

    def test_a_single_image_joins_the_batch_before_it(self):
        # Only in training: a batch normalisation needs two.
        training = make_source(9).batches(4, RandomStream(0))
        assert [len(X) for X, _ in training] == [4, 5]
        assert [len(X) for X, _ in make_source(9).batches(4)] == [4, 4, 1]
        assert len(list(make_source(1).batches(4, RandomStream(0)))) == 1

    def test_large_files_are_decoded_small_unless_augmented(self, monkeypatch):
        sizes = []
        opened = Images.open

        def watched(self, i, *, at_least=None):
            sizes.append(at_least)
            return opened(self, i, at_least=at_least)

        monkeypatch.setattr(Images, "open", watched)
        an_epoch(make_source(1), seed=0)
        an_epoch(make_source(1, augmentation={}), seed=0)
        assert sizes == [(12, 16), None]

    def test_take(self):
        in_order, _ = an_epoch(make_source())
        chosen = np.array([7, 0, 4])
        taken, rows = an_epoch(make_source(augmentation={}).take(chosen))
        assert torch.equal(taken, in_order[chosen])
        assert rows.tolist() == [0, 1, 2]

    @pytest.mark.slow  # torch waits five seconds for the worker
    def test_error_of_a_worker_names_the_row(self, image, tmp_path):
        image.save(tmp_path / "image.png")
        paths = [tmp_path / "image.png", tmp_path / "missing.png"]
        with pytest.raises(ValueError, match=r"^`X` has .* row 1, .*no such file"):
            list(make_source(paths, num_workers=1).batches(1))
