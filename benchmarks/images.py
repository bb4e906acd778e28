"""An epoch over images beside a hand-written loop with timm, and the memory of a fit.

Both read the same JPEG files of 256 x 256 pixels, resize them, and train the same
backbone with the same batches, loader settings and optimizer. Runs alternate; the
figures are medians, and the spread of the ratio over the runs.

    python benchmarks/images.py
    python benchmarks/images.py --backbone convnext_tiny --image-size 224 --threads 8

Memory is the peak of a process that fits on paths for an epoch and predicts.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import timm
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from fairtask import AuxiliaryFairnessImageClassifier


def write_images(folder, n, n_different=50):
    """Write images, most of them links, and return their paths."""
    rng = np.random.default_rng(0)
    paths = [folder / f"{i:06d}.jpg" for i in range(n)]
    for i, path in enumerate(paths):
        if i < n_different:
            coarse = rng.integers(256, size=(16, 16, 3), dtype=np.uint8)
            Image.fromarray(coarse).resize((256, 256)).save(path)
        else:
            path.symlink_to(paths[i % n_different])
    return [str(path) for path in paths]


def make_task(n, seed=0):
    """Labels, and two attributes of two and seven groups."""
    rng = np.random.default_rng(seed)
    z = np.column_stack([rng.integers(2, size=n), rng.integers(7, size=n)])
    return rng.integers(2, size=n), z


class Files(Dataset):
    """The loop that people write by hand for a timm model."""

    def __init__(self, paths, y, config, size):
        self.paths, self.y = paths, y
        self.transform = transforms.Compose(
            [
                transforms.Resize(
                    (size, size),
                    transforms.InterpolationMode(config["interpolation"]),
                ),
                transforms.ToTensor(),
                transforms.Normalize(config["mean"], config["std"]),
            ]
        )

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, i):
        with Image.open(self.paths[i]) as image:
            return self.transform(image.convert("RGB")), self.y[i]


def epoch_by_hand(paths, y, options):
    """Seconds of an epoch, after one to warm up."""
    torch.manual_seed(0)
    model = timm.create_model(options.backbone, pretrained=False, num_classes=2)
    config = timm.data.resolve_model_data_config(model)
    model = model.to(options.device, memory_format=torch.channels_last).train()
    loader = DataLoader(
        Files(paths, y, config, options.image_size),
        batch_size=options.batch_size,
        shuffle=True,
        num_workers=options.workers,
        persistent_workers=options.workers > 0,
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 2 * len(loader))
    for _ in range(2):
        start, total = time.perf_counter(), 0.0
        for X, target in loader:
            X = X.to(options.device, memory_format=torch.channels_last)
            target = target.to(options.device)
            loss = torch.nn.functional.cross_entropy(model(X), target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item()
        seconds = time.perf_counter() - start
    return seconds


def epoch_of_fairtask(paths, y, z, options, lam):
    """Seconds of the second of two epochs."""
    clf = AuxiliaryFairnessImageClassifier(
        options.backbone,
        pretrained=False,
        image_size=options.image_size,
        batch_size=options.batch_size,
        num_workers=options.workers,
        max_epochs=2,
        lam=lam,
        mixed_precision=False,
        device=options.device,
        random_state=0,
    )
    return clf.fit(paths, y, sensitive_features=z).history_["dur"].iloc[-1]


def compare_times(options):
    with tempfile.TemporaryDirectory() as folder:
        paths = write_images(Path(folder), options.n)
        y, z = make_task(options.n)
        rows = []
        for _ in range(options.repeats):
            rows.append(
                [
                    epoch_by_hand(paths, y, options),
                    epoch_of_fairtask(paths, y, z, options, lam=1.0),
                    epoch_of_fairtask(paths, y, z, options, lam=0.2),
                ]
            )
    times = np.array(rows)
    print(f"epoch of {options.n} images, {options.backbone}, {options.image_size} px:")
    names = ["by hand", "single task", "two attributes"]
    for name, column in zip(names, times.T, strict=True):
        ratios = column / times[:, 0]
        print(
            f"  {name:<15} {np.median(column):6.2f} s   "
            f"{np.median(ratios):.2f} times by hand ({ratios.min():.2f} to "
            f"{ratios.max():.2f})"
        )


def peak_memory(n):
    """Fit on n paths in this process, and print its peak in MiB."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        paths = write_images(Path(folder), n)
        y, z = make_task(n)
        clf = AuxiliaryFairnessImageClassifier(
            "test_convnext",
            pretrained=False,
            image_size=64,
            max_epochs=1,
            device="cpu",
            random_state=0,
        )
        clf.fit(paths, y, sensitive_features=z).predict(paths)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def compare_memory():
    print("peak memory of fit and predict on paths:")
    for n in (1_000, 8_000):
        command = [sys.executable, __file__, "--peak-memory", str(n)]
        result = subprocess.run(command, capture_output=True, text=True, check=True)
        held = n * 256 * 256 * 3 / 2**20
        print(
            f"  {n:>5,} images: {float(result.stdout):6.0f} MiB   (their pixels would "
            f"take {held:,.0f} MiB)"
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--backbone", default="tf_efficientnet_lite0")
    parser.add_argument("--image-size", type=int, default=96)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("-n", type=int, default=640, help="images of an epoch")
    parser.add_argument("--peak-memory", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peak_memory:
        peak_memory(options.peak_memory)
        return
    torch.set_num_threads(options.threads)
    compare_times(options)
    compare_memory()


if __name__ == "__main__":
    main()
