"""Use the installed package by itself: every module, a training, a report, a file."""

import importlib
import pkgutil
import subprocess
import sys
import tempfile
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import fairtask
from fairtask import AuxiliaryFairnessClassifier, AuxiliaryFairnessImageClassifier
from fairtask.datasets import make_biased_classification
from fairtask.metrics import fairness_report
from fairtask.model_selection import GroupRatesDisplay

installed = Path(fairtask.__file__).parent
sources = Path(__file__).resolve().parent.parent / "fairtask"
if installed == sources:
    raise SystemExit(f"{installed} is the sources, not the wheel")
if not (installed / "py.typed").exists():
    raise SystemExit("the wheel has no py.typed")
for module in pkgutil.walk_packages(fairtask.__path__, "fairtask."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
if "torchjd" in sys.modules or "pytest" in sys.modules:
    raise SystemExit("an extra is needed to import the package")

X, y, z = make_biased_classification(random_state=0)
clf = AuxiliaryFairnessClassifier(max_epochs=3, random_state=0)
clf.fit(X, y, sensitive_features=z)
with tempfile.TemporaryDirectory() as folder:
    clf.save(Path(folder) / "model.safetensors")
    loaded = AuxiliaryFairnessClassifier.load(Path(folder) / "model.safetensors")
if (loaded.predict(X) != clf.predict(X)).any():
    raise SystemExit("a loaded model predicts something else")
print(fairness_report(y, loaded.predict(X), sensitive_features=z, random_state=0))
GroupRatesDisplay.from_predictions(y, loaded.predict(X), sensitive_features=z)
AuxiliaryFairnessImageClassifier(backbone="resnet18")
subprocess.run(
    [sys.executable, "-I", "-m", "fairtask.experiments", "--help"], check=True
)
