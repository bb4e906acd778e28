import os
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from fairtask.datasets import fetch_fairface
from tests._datasets import real_folder

ROWS = pd.DataFrame(
    {
        "file": ["train/1.jpg", "train/2.jpg", "val/1.jpg"],
        "age": ["20-29", "more than 70", "30-39"],
        "gender": ["Female", "Male", "Male"],
        "race": ["White", "Black", "Latino_Hispanic"],
    }
)


@pytest.fixture
def home(tmp_path):
    """A data home with FairFace as it is downloaded, of three images."""
    folder = tmp_path / "fairface"
    for file in ROWS["file"]:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (2, 2)).save(folder / file)
    labels = ROWS.assign(service_test="True")
    labels[:2].to_csv(folder / "fairface_label_train.csv", index=False)
    labels[2:].to_csv(folder / "fairface_label_val.csv", index=False)
    return tmp_path


def use_one_file(home):
    """Write the labels as one file, the subset in a column."""
    ROWS.assign(split=["train", "train", "test"]).to_csv(
        home / "fairface" / "labels.csv", index=False
    )
    for name in ("train", "val"):
        (home / "fairface" / f"fairface_label_{name}.csv").unlink()


@pytest.mark.parametrize("is_one_file", [False, True])
def test_layouts(home, is_one_file):
    if is_one_file:
        use_one_file(home)
    faces = fetch_fairface(data_home=home)
    assert faces.data.tolist() == [str(home / "fairface" / f) for f in ROWS["file"]]
    assert faces.data.map(os.path.isfile).all()
    assert faces.target.tolist() == [0, 1, 1]
    assert faces.target_names == ["up to 29", "30 and older"]
    assert faces.age.astype(str).tolist() == ROWS["age"].tolist()
    assert faces.sensitive_features.astype(str).equals(ROWS[["gender", "race"]])
    assert faces.sensitive_feature_names == list(faces.sensitive_features)
    assert faces.subset.tolist() == ["train", "train", "test"]
    assert all(Path(name).is_file() for name in faces.filenames)
    assert "CC BY 4.0" in faces.DESCR


def test_subset(home):
    faces = fetch_fairface(data_home=home, subset="test")
    assert faces.target.tolist() == [1]
    assert faces.data.index.tolist() == [0]
    X, y = fetch_fairface(data_home=home, subset="train", return_X_y=True)
    assert X.name == "file"
    assert y.tolist() == [0, 1]


def test_age_is_ordered(home):
    age = fetch_fairface(data_home=home).age
    assert (age > "20-29").tolist() == [False, True, True]


def test_environment_names_the_folder(home, monkeypatch):
    monkeypatch.setenv("FAIRTASK_DATA", str(home))
    assert len(fetch_fairface().data) == 3


def test_not_there(tmp_path):
    with pytest.raises(OSError, match=r"downloaded by hand from .*joojs/fairface"):
        fetch_fairface(data_home=tmp_path)


def test_missing_image(home):
    (home / "fairface" / "train" / "2.jpg").unlink()
    with pytest.raises(OSError, match=r"1 of 3 images .* the first is .*2\.jpg"):
        fetch_fairface(data_home=home)
    assert len(fetch_fairface(data_home=home, subset="test").data) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.assign(age="old"), r"column `age`: .* found 'old' \(3 such"),
        (lambda t: t.assign(gender=""), r"column `gender`: .* found ''"),
        (lambda t: t.assign(split="val"), "column `split`: .* found 'val'"),
        (lambda t: t.drop(columns="race"), "expected a header with .* lack race"),
        (lambda t: t[:0], "expected rows, found 0"),
    ],
)
def test_other_labels(home, change, message):
    use_one_file(home)
    path = home / "fairface" / "labels.csv"
    change(pd.read_csv(path)).to_csv(path, index=False)
    with pytest.raises(ValueError, match=message):
        fetch_fairface(data_home=home)


@pytest.mark.real_data
def test_real_images():
    faces = fetch_fairface(data_home=real_folder("fairface/labels.csv"))
    assert faces.subset.value_counts().to_dict() == {"train": 7000, "test": 2000}
    assert faces.sensitive_features["gender"].value_counts()["Female"] == 4308
    assert faces.sensitive_features["race"].nunique() == 7
    older = 1992 + 1077 + 651 + 258 + 92  # counts of the bands from 30 on
    assert faces.target.sum() == older
    with Image.open(faces.data[0]) as image:
        assert image.size == (96, 96)
