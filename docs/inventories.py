"""Names of other projects that the pages link to, for builds without a network.

Sphinx reads the names of a project from its site. Where it cannot reach the site, it
takes those below instead and says so. A page that uses any other name does not build.
"""

import zlib
from pathlib import Path

PAGES = {
    "fairlearn": (
        "https://fairlearn.org/main/",
        {"api_reference/index.html": ["fairlearn.metrics"]},
    ),
    "joblib": (
        "https://joblib.readthedocs.io/en/stable/",
        {"generated/$.html": ["joblib.Parallel"]},
    ),
    "numpy": (
        "https://numpy.org/doc/stable/",
        {"reference/generated/$.html": ["numpy.ndarray"]},
    ),
    "pandas": (
        "https://pandas.pydata.org/docs/",
        {"reference/api/$.html": ["pandas.DataFrame", "pandas.to_numeric"]},
    ),
    "pyarrow": (
        "https://arrow.apache.org/docs/",
        {
            "python/generated/pyarrow.dataset.Dataset.html": [
                "pyarrow.dataset.Dataset",
                "pyarrow.dataset.Dataset.to_batches",
            ],
            "python/generated/$.html": ["pyarrow.dataset.dataset"],
        },
    ),
    "sklearn": (
        "https://scikit-learn.org/stable/",
        {
            "modules/generated/$.html": [
                "sklearn.calibration.CalibratedClassifierCV",
                "sklearn.calibration.calibration_curve",
                "sklearn.compose.make_column_transformer",
                "sklearn.datasets.get_data_home",
                "sklearn.ensemble.BaggingClassifier",
                "sklearn.ensemble.HistGradientBoostingClassifier",
                "sklearn.ensemble.VotingClassifier",
                "sklearn.exceptions.ConvergenceWarning",
                "sklearn.exceptions.UndefinedMetricWarning",
                "sklearn.frozen.FrozenEstimator",
                "sklearn.linear_model.LogisticRegression",
                "sklearn.model_selection.GridSearchCV",
                "sklearn.model_selection.GroupKFold",
                "sklearn.model_selection.TunedThresholdClassifierCV",
                "sklearn.model_selection.cross_validate",
                "sklearn.model_selection.train_test_split",
                "sklearn.multioutput.MultiOutputClassifier",
                "sklearn.neural_network.MLPClassifier",
                "sklearn.pipeline.Pipeline",
                "sklearn.utils.Bunch",
            ]
        },
    ),
    "skorch": (
        "https://skorch.readthedocs.io/en/stable/",
        {
            "callbacks.html": [
                "skorch.callbacks.EpochScoring",
                "skorch.callbacks.GradientNormClipping",
            ],
            "net.html": ["skorch.net.NeuralNet"],
        },
    ),
    "timm": (  # its site has no list of names
        "https://huggingface.co/docs/timm/",
        {
            "reference/models": ["timm.create_model", "timm.list_models"],
            "reference/data": ["timm.data.create_transform"],
        },
    ),
    "torch": (
        "https://docs.pytorch.org/docs/stable/",
        {
            "generated/$.html": [
                "torch.compile",
                "torch.func.functional_call",
                "torch.func.grad",
                "torch.func.vmap",
                "torch.nn.Dropout",
                "torch.nn.Module",
                "torch.nn.Sequential",
                "torch.optim.lr_scheduler.OneCycleLR",
            ],
            "data.html": ["torch.utils.data.DataLoader"],
            "distributed.html": ["torch.distributed.init_process_group"],
            "optim.html": [
                "torch.optim.Optimizer",
                "torch.optim.swa_utils.AveragedModel",
            ],
        },
    ),
}
WITHOUT_LIST = ["timm"]


def kind(name):
    """Tell classes from functions by their names."""
    return "class" if name.rpartition(".")[2][0].isupper() else "function"


def intersphinx_mapping(folder):
    """Write the names below `folder`, and return the mapping for Sphinx."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    mapping = {}
    for project, (address, pages) in PAGES.items():
        lines = [
            f"{name} py:{kind(name)} 1 {page.replace('$', name)}#{name} -\n"
            for page, names in pages.items()
            for name in names
        ]
        head = (
            "# Sphinx inventory version 2\n"
            f"# Project: {project}\n"
            "# Version: \n"
            "# The remainder of this file is compressed using zlib.\n"
        )
        path = folder / f"{project}.inv"
        path.write_bytes(head.encode() + zlib.compress("".join(lines).encode()))
        places = (str(path),) if project in WITHOUT_LIST else (None, str(path))
        mapping[project] = (address, places)
    return mapping
