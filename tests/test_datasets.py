import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from fairtask import datasets
from fairtask.datasets import (
    _fetch,
    fetch_adult,
    fetch_bank_marketing,
    fetch_compas,
    fetch_fairface,
)
from tests._datasets import (
    ADULT,
    ADULT_TEST,
    BANK,
    COMPAS,
    FETCHER_OF,
    FETCHERS,
    load,
    real_folder,
)


@pytest.fixture
def own_copy(tmp_path):
    """Return a folder with copies of the data sets that a test may damage."""
    folder = real_folder(*FETCHER_OF)
    for path in FETCHER_OF:
        (tmp_path / path).parent.mkdir(exist_ok=True)
        # copyfile: the originals may be read-only, the copies are not.
        shutil.copyfile(folder / path, tmp_path / path)
    return tmp_path


# Data sets


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("fetch", "n_samples", "n_positives", "groups"),
    [
        (fetch_adult, 45_222, 11_208, {
            "sex": {"Male": 30_527, "Female": 14_695},
            "race": {
                "White": 38_903, "Black": 4_228, "Asian-Pac-Islander": 1_303,
                "Amer-Indian-Eskimo": 435, "Other": 353,
            },
        }),
        (fetch_compas, 6_172, 2_809, {
            "sex": {"Male": 4_997, "Female": 1_175},
            "race": {
                "African-American": 3_175, "Caucasian": 2_103, "Hispanic": 509,
                "Other": 343, "Asian": 31, "Native American": 11,
            },
        }),
        (fetch_bank_marketing, 45_211, 5_289, {
            "age": {"25-60": 43_214, "other": 1_997},
        }),
    ],
)  # fmt: skip
def test_counts(fetch, n_samples, n_positives, groups):
    bunch = load(fetch)
    assert len(bunch.data) == n_samples
    assert bunch.target.sum() == n_positives
    assert set(bunch.target) == {0, 1}
    found = {
        name: column.value_counts().to_dict()
        for name, column in bunch.sensitive_features.items()
    }
    assert found == groups


@pytest.mark.slow
@pytest.mark.real_data
@pytest.mark.parametrize("fetch", FETCHERS)
def test_bunch_is_consistent(fetch):
    bunch = load(fetch)
    X, y = load(fetch, return_X_y=True)
    pd.testing.assert_frame_equal(X, bunch.data)
    pd.testing.assert_series_equal(y, bunch.target)
    index = pd.RangeIndex(len(bunch.data))
    for part in (bunch.data, bunch.target, bunch.sensitive_features):
        pd.testing.assert_index_equal(part.index, index, exact=True)
    assert bunch.feature_names == list(bunch.data.columns)
    assert bunch.sensitive_feature_names == list(bunch.sensitive_features.columns)
    assert len(bunch.target_names) == 2
    assert bunch.target.dtype == np.int64
    assert bunch.target.name not in bunch.data
    assert all(Path(name).is_file() for name in bunch.filenames)
    assert f"{len(bunch.data):,}" in bunch.DESCR
    assert f"{bunch.target.sum():,}" in bunch.DESCR
    assert (bunch.sensitive_features.dtypes == "category").all()
    for name, column in bunch.data.items():
        if column.dtype == "category":
            assert list(column.cat.categories) == sorted(column.cat.categories)
        else:
            assert column.dtype == np.int64, name


@pytest.mark.real_data
@pytest.mark.parametrize("fetch", [fetch_adult, fetch_compas])
def test_sensitive_features_are_features_too(fetch):
    bunch = load(fetch)
    pd.testing.assert_frame_equal(bunch.sensitive_features, bunch.data[["sex", "race"]])


@pytest.mark.real_data
def test_adult_columns_and_order():
    adult = load(fetch_adult, dropna=False)
    assert adult.feature_names == [
        "age", "workclass", "fnlwgt", "education", "education-num", "marital-status",
        "occupation", "relationship", "race", "sex", "capital-gain", "capital-loss",
        "hours-per-week", "native-country",
    ]  # fmt: skip
    assert adult.target_names == ["<=50K", ">50K"]
    # The first rows of adult.data and of adult.test, which comes after it.
    assert adult.data["fnlwgt"].iloc[[0, 32_561]].tolist() == [77_516, 226_802]
    workclass = adult.data["workclass"].iloc[[0, 32_561]]
    assert workclass.tolist() == ["State-gov", "Private"]
    assert adult.target.iloc[:32_561].sum() == 7_841


@pytest.mark.real_data
def test_adult_missing_values():
    everybody = load(fetch_adult, dropna=False)
    complete = load(fetch_adult)
    assert len(everybody.data) == 48_842
    assert everybody.target.sum() == 11_687
    missing = everybody.data.isna().sum()
    expected = {"workclass": 2_799, "occupation": 2_809, "native-country": 857}
    assert missing[missing > 0].to_dict() == expected
    assert not complete.data.isna().any(axis=None)
    # "Never-worked" does not occur in complete rows, and stays a category.
    assert "Never-worked" in complete.data["workclass"].cat.categories
    pd.testing.assert_series_equal(complete.data.dtypes, everybody.data.dtypes)


@pytest.mark.real_data
def test_compas_has_honest_features_only():
    compas = load(fetch_compas)
    assert compas.feature_names == [
        "sex", "age", "race", "juv_fel_count", "juv_misd_count", "juv_other_count",
        "priors_count", "c_charge_degree",
    ]  # fmt: skip
    assert set(compas.data["c_charge_degree"].cat.categories) == {"F", "M"}
    # Leaked outcomes give an AUC above 0.9, honest features 0.73.
    train, test = train_test_split(
        compas.data.index, test_size=0.2, random_state=0, stratify=compas.target
    )
    model = make_pipeline(
        make_column_transformer(
            (OneHotEncoder(handle_unknown="ignore"), ["sex", "race"]),
            (OneHotEncoder(), ["c_charge_degree"]),
            remainder=StandardScaler(),
        ),
        LogisticRegression(max_iter=1000),
    ).fit(compas.data.loc[train], compas.target[train])
    scores = model.predict_proba(compas.data.loc[test])[:, 1]
    assert 0.70 < roc_auc_score(compas.target[test], scores) < 0.77


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("days_b_screening_arrest", "31"),
        ("days_b_screening_arrest", "-31"),
        ("days_b_screening_arrest", ""),
        ("is_recid", "-1"),
        ("c_charge_degree", "O"),
        ("score_text", "N/A"),
    ],
)
def test_compas_filter(own_copy, column, value):
    # The published file happens to need the first condition only.
    path = own_copy / COMPAS
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    assert table.loc[0, column] != value
    table.loc[0, column] = value
    table.to_csv(path, index=False)
    assert len(fetch_compas(data_home=own_copy).data) == 6_171


@pytest.mark.slow
@pytest.mark.real_data
def test_bank_duration_is_left_out_unless_asked_for():
    honest = load(fetch_bank_marketing)
    leaky = load(fetch_bank_marketing, include_duration=True)
    assert set(leaky.feature_names) - set(honest.feature_names) == {"duration"}
    assert honest.data.shape == (45_211, 15)
    pd.testing.assert_frame_equal(leaky.data[honest.feature_names], honest.data)


@pytest.mark.real_data
def test_bank_age_groups_include_their_ends():
    bank = load(fetch_bank_marketing)
    ages = bank.data["age"].groupby(bank.sensitive_features["age"], observed=True)
    assert ages.min()["25-60"] == 25
    assert ages.max()["25-60"] == 60
    other = bank.data["age"][bank.sensitive_features["age"] == "other"]
    assert not other.between(25, 60).any()


@pytest.mark.real_data
@pytest.mark.parametrize("fetch", FETCHERS)
def test_files_in_the_environment_need_no_download(monkeypatch, fetch):
    folder = real_folder(*FETCHER_OF)
    monkeypatch.setattr(_fetch, "_download", None)
    assert all(Path(name).is_relative_to(folder) for name in fetch().filenames)


@pytest.mark.slow
# Damaged files


def keep(n_lines):
    return lambda text: "".join(text.splitlines(keepends=True)[:n_lines])


def replace(old, new):
    return lambda text: text.replace(old, new, 1)


def other_part_of_adult(text):
    return (real_folder() / ADULT_TEST).read_text()


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("path", "change", "match"),
    [
        (ADULT, keep(20_000), "expected 32,561 rows, found 20,000"),
        (ADULT, keep(0), "found 0"),
        (ADULT, other_part_of_adult, "found 16,281"),
        (ADULT, replace("39, State-gov", "thirty, State-gov"), "`age`.*'thirty'"),
        (ADULT, replace("<=50K\n", "poor\n"), "`income`: expected <=50K or >50K"),
        (ADULT, replace("<=50K\n", ">50K\n"), "7,841 positives.*found 7,842"),
        (ADULT, replace("White, Male", "?, Male"), "`race`: expected a value"),
        (ADULT_TEST, keep(10_001), "expected 16,281 rows, found 10,000"),
        (ADULT_TEST, keep(0), "found 0"),
        # The labels of the test part end in a dot.
        (ADULT_TEST, replace("<=50K.", "<=50K"), "<=50K. or >50K., found '<=50K'"),
        (BANK, keep(4_522), "expected 45,211 rows, found 4,521"),
        (BANK, keep(0), "found something else .No columns"),
        (BANK, replace(";2143;", ";2143,5;"), "`balance`.*'2143,5'"),
        (BANK, replace(';"no"\n', ';"yes"\n'), "5,289 positives in `y`"),
        (BANK, replace('"duration"', '"seconds"'), "lack duration"),
        (COMPAS, keep(1_001), "expected 7,214 rows, found 1,000"),
        (COMPAS, keep(0), "found something else .No columns"),
        (COMPAS, replace("two_year_recid", "label"), "lack two_year_recid"),
        (COMPAS, replace(",0,0\n", ",0,1\n"), "found 3,252"),
        (COMPAS, replace(",69,", ",sixty-nine,"), "`age`: expected"),
    ],
)
def test_damaged_file(own_copy, path, change, match):
    file = own_copy / path
    text = file.read_text()
    assert change(text) != text
    file.write_text(change(text))
    with pytest.raises(ValueError, match=f"{file.name}: .*{match}"):
        FETCHER_OF[path](data_home=own_copy)


@pytest.mark.real_data
def test_compas_as_propublica_publishes_it(own_copy):
    # ProPublica's header has two names twice; pandas renames the second.
    path = own_copy / COMPAS
    header, _, rest = path.read_text().partition("\n")
    original = ",".join(name.removesuffix(".1") for name in header.split(","))
    assert original.count(",priors_count") == 2
    path.write_text(f"{original}\n{rest}")
    copied = fetch_compas(data_home=own_copy).data
    path.write_text(f"{header}\n{rest}")
    pd.testing.assert_frame_equal(copied, fetch_compas(data_home=own_copy).data)


# Arguments of the fetchers


@pytest.mark.parametrize(
    ("fetch", "argument"),
    [
        (fetch_adult, {"dropna": "yes"}),
        (fetch_adult, {"return_X_y": 2}),
        (fetch_adult, {"data_home": 3}),
        (fetch_compas, {"return_X_y": None}),
        (fetch_compas, {"data_home": ["folder"]}),
        (fetch_bank_marketing, {"include_duration": "no"}),
        (fetch_bank_marketing, {"data_home": b"folder"}),
        (fetch_fairface, {"subset": "val"}),
    ],
)
def test_fetcher_arguments(fetch, argument):
    (name,) = argument
    with pytest.raises(ValueError, match=f"'{name}' parameter of {fetch.__name__}"):
        fetch(**argument)


@pytest.mark.parametrize("fetch", [*FETCHERS, fetch_fairface])
def test_fetchers_take_keywords_only(fetch):
    with pytest.raises(TypeError, match="positional"):
        fetch("folder")


def test_all_names_are_public():
    assert sorted(datasets.__all__) == datasets.__all__
    assert {f.__name__ for f in FETCHERS} < set(datasets.__all__)
