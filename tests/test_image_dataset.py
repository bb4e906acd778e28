import functools
import random

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import transforms

from fairtask._images import _dataset
from fairtask._images._dataset import ImageDataset, Resize
from fairtask._images._reading import as_images

RESIZE = Resize((12, 16), "bilinear")


def make_augmentation(augmentation):
    half = (0.5, 0.5, 0.5)
    return _dataset.make_augmentation(augmentation, RESIZE, mean=half, std=half)


def make_images(n=10, height=20, width=24):
    rng = np.random.default_rng(0)
    return rng.integers(256, size=(n, height, width, 3), dtype=np.uint8)


def make_dataset(n=10, augmentation=None, **kwargs):
    """Images of which number i has the label i."""
    return ImageDataset(
        as_images(make_images(n)),
        RESIZE,
        {"y": np.arange(n)[:, None], "groups": np.arange(n)[:, None] % 2},
        augmentation=None if augmentation is None else make_augmentation(augmentation),
        **kwargs,
    )


def an_epoch(dataset, seed=0, **kwargs):
    """Pixels and labels of all batches."""
    torch.manual_seed(seed)
    return [(X, target["y"]) for X, target in dataset.batches(4, **kwargs)]


class TestResize:
    def test_to_the_size_whatever_the_proportions(self):
        image = Image.fromarray(make_images(1)[0])
        found = Resize((12, 16), "bicubic")(image)
        expected = np.asarray(image.resize((16, 12), Image.Resampling.BICUBIC))
        assert found.shape == (12, 16, 3)
        np.testing.assert_array_equal(found, expected)

    def test_of_the_right_size_nothing_is_changed(self):
        X = make_images(1, 12, 16)[0]
        np.testing.assert_array_equal(
            Resize((12, 16), "bicubic")(Image.fromarray(X)), X
        )


class TestAugmentation:
    def test_arguments_of_timm(self):
        image = Image.fromarray(make_images(1)[0])
        augment = make_augmentation({"hflip": 1.0, "scale": (1, 1)})
        assert augment(image).shape == (12, 16, 3)
        assert augment(image).dtype == torch.uint8

    def test_without_a_change_timm_resizes_as_we_do(self):
        # The crop is the whole image: its proportions are those of the size.
        image = Image.fromarray(make_images(1, 24, 32)[0])
        augment = make_augmentation(
            {"scale": (1, 1), "ratio": (4 / 3, 4 / 3), "hflip": 0, "color_jitter": 0},
        )
        expected = RESIZE(image)
        np.testing.assert_array_equal(augment(image), expected)

    def test_erased_regions_are_noise_on_normalised_pixels(self):
        image = Image.new("RGB", (16, 12), (255, 255, 255))
        augment = make_augmentation(
            {"re_prob": 1.0, "re_mode": "pixel", "color_jitter": 0}
        )
        found = augment(image)
        assert found.dtype == torch.float32
        assert 0 < (found != 1).float().mean() < 1  # white is (1 - .5) / .5

    def test_callable(self):
        image = Image.fromarray(make_images(1)[0])
        flip = make_augmentation(transforms.RandomHorizontalFlip(p=1))
        mirrored = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        np.testing.assert_array_equal(flip(image), RESIZE(mirrored))

    @pytest.mark.parametrize(
        ("augmentation", "message"),
        [
            ({"bad": 1}, r"arguments of timm.*'bad'"),
            ({"mean": 1, "input_size": 3}, r"must not have \['input_size', 'mean'\]"),
            ({"auto_augment": "nothing"}, "arguments of timm"),
        ],
    )
    def test_wrong_arguments(self, augmentation, message):
        with pytest.raises(ValueError, match=message):
            make_augmentation(augmentation)

    def test_callable_must_return_an_image(self):
        to_tensor = make_augmentation(transforms.ToTensor())
        with pytest.raises(
            ValueError, match=r"must return a Pillow image; got torch\.Tensor"
        ):
            to_tensor(Image.new("RGB", (4, 4)))


class TestBatches:
    def test_in_order(self):
        dataset = make_dataset()
        batches = an_epoch(dataset)
        assert [X.shape for X, _ in batches] == [(4, 3, 12, 16)] * 2 + [(2, 3, 12, 16)]
        assert torch.cat([y for _, y in batches])[:, 0].tolist() == list(range(10))
        image = Image.fromarray(make_images()[5])
        np.testing.assert_array_equal(batches[1][0][1].permute(1, 2, 0), RESIZE(image))

    def test_channels_are_last_in_memory(self):
        ((X, _), *_) = an_epoch(make_dataset())
        assert X.is_contiguous(memory_format=torch.channels_last)

    def test_shuffled_rows_keep_their_targets(self):
        dataset = make_dataset()
        in_order = torch.cat([X for X, _ in an_epoch(dataset)])
        batches = an_epoch(dataset, shuffle=True)
        y = torch.cat([y for _, y in batches])[:, 0]
        assert sorted(y.tolist()) == list(range(10)) != y.tolist()
        assert torch.equal(torch.cat([X for X, _ in batches]), in_order[y])

    def test_epochs_differ(self):
        batches = make_dataset().batches(10, shuffle=True)
        orders = [next(iter(batches))[1]["y"][:, 0].tolist() for _ in range(2)]
        assert orders[0] != orders[1]

    def test_stratified(self):
        n = 40
        dataset = ImageDataset(
            as_images(make_images(n)),
            Resize((4, 4), "bilinear"),
            {"y": np.zeros((n, 1), int), "groups": np.arange(n)[:, None] % 4},
        )
        torch.manual_seed(0)
        for _, target in dataset.batches(8, shuffle=True, stratify=True):
            assert target["groups"][:, 0].bincount().tolist() == [2, 2, 2, 2]

    @pytest.mark.parametrize("augmentation", [None, {}])
    def test_any_number_of_workers_makes_the_same_batches(self, augmentation):
        alone, together = (
            [
                an_epoch(
                    make_dataset(augmentation=augmentation, num_workers=n), shuffle=True
                ),
                torch.rand(3),
            ]
            for n in (0, 2)
        )
        assert torch.equal(alone[1], together[1])  # as much was drawn
        for (X, y), (X_together, y_together) in zip(alone[0], together[0], strict=True):
            assert torch.equal(X, X_together)
            assert torch.equal(y, y_together)

    def test_another_seed_augments_otherwise(self):
        first, again, other = (
            torch.cat(
                [X for X, _ in an_epoch(make_dataset(augmentation={}), seed=seed)]
            )
            for seed in (0, 0, 1)
        )
        assert torch.equal(first, again)
        assert not torch.equal(first, other)

    def test_global_random_states_are_left_as_they_were(self):
        dataset = make_dataset(augmentation={"auto_augment": "rand-m9"})
        states = random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
        an_epoch(dataset)
        assert states[0] == random.getstate()
        assert states[1] == np.random.get_state()[1].tolist()  # noqa: NPY002

    def test_a_single_image_joins_the_batch_before_it(self):
        # Where it is trained on: a batch normalisation needs two.
        sizes = {
            shuffle: [len(X) for X, _ in make_dataset(9).batches(4, shuffle=shuffle)]
            for shuffle in (True, False)
        }
        assert sizes == {True: [4, 5], False: [4, 4, 1]}
        batches = make_dataset(9).batches(4, shuffle=True)
        assert len(batches) == 2
        assert len(list(make_dataset(1).batches(4, shuffle=True))) == 1

    def test_large_files_are_decoded_small_unless_augmented(self, monkeypatch):
        sizes = []
        opened = _dataset.Images.open

        def watched(self, i, *, at_least=None):
            sizes.append(at_least)
            return opened(self, i, at_least=at_least)

        monkeypatch.setattr(_dataset.Images, "open", watched)
        an_epoch(make_dataset(1))
        an_epoch(make_dataset(1, augmentation={}))
        assert sizes == [(12, 16), None]

    def test_spawned_workers_make_the_same_batches(self, monkeypatch):
        # As on Windows and macOS: what they need is sent to them.
        alone = an_epoch(make_dataset(augmentation={}))
        monkeypatch.setattr(
            _dataset,
            "DataLoader",
            functools.partial(_dataset.DataLoader, multiprocessing_context="spawn"),
        )
        together = an_epoch(make_dataset(augmentation={}, num_workers=1))
        for (X, _), (X_together, _) in zip(alone, together, strict=True):
            assert torch.equal(X, X_together)

    @pytest.mark.filterwarnings("ignore:Got pickle error")  # torch adds its own advice
    def test_augmentation_that_cannot_be_sent(self, monkeypatch):
        monkeypatch.setattr(
            _dataset,
            "DataLoader",
            functools.partial(_dataset.DataLoader, multiprocessing_context="spawn"),
        )
        dataset = make_dataset(augmentation=lambda image: image, num_workers=1)
        with pytest.raises(
            ValueError, match=r"`augmentation` cannot be sent.*num_work"
        ):
            an_epoch(dataset)

    def test_an_augmentation_may_work_in_place(self):
        def blacken(image):
            image.paste("black", (0, 0, *image.size))
            return image

        image = Image.new("RGB", (16, 12), "white")
        dataset = ImageDataset(
            as_images([image]), RESIZE, augmentation=make_augmentation(blacken)
        )
        ((X, _),) = dataset.batches(1)
        assert X.max() == 0
        assert image.getpixel((0, 0)) == (255, 255, 255)

    def test_thinned(self):
        batches = list(make_dataset(augmentation={}).thinned(4).batches(2))
        assert [len(X) for X, _ in batches] == [2, 1]
        expected = an_epoch(make_dataset())[1][0][0]  # number 4
        assert torch.equal(batches[0][0][1], expected)
        assert batches[0][1] == {}

    def test_error_of_a_worker_names_the_row(self, tmp_path):
        path = tmp_path / "image.png"
        Image.new("RGB", (4, 4)).save(path)
        dataset = ImageDataset(
            as_images([path, tmp_path / "missing.png"]),
            Resize((4, 4), "bilinear"),
            num_workers=1,
        )
        with pytest.raises(ValueError, match=r"^`X` has .* row 1, .*no such file"):
            list(dataset.batches(1))
