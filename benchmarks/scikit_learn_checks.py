"""How many of scikit-learn's checks pass: estimators of fairtask and of fairlearn.

python benchmarks/scikit_learn_checks.py
"""

import importlib.metadata
import logging
import warnings

import pandas as pd
from fairlearn.adversarial import AdversarialFairnessClassifier
from fairlearn.postprocessing import ThresholdOptimizer
from fairlearn.reductions import DemographicParity, ExponentiatedGradient, GridSearch
from joblib import Parallel, delayed
from sklearn.linear_model import LogisticRegression
from sklearn.utils.estimator_checks import check_estimator

from fairtask import AuxiliaryFairnessClassifier
from fairtask.baselines import (
    AdversarialClassifier,
    GroupSpecificClassifier,
    RegularizedClassifier,
)

# 100 epochs of one batch each are enough for the small problems of the checks.
ESTIMATORS = [
    AuxiliaryFairnessClassifier(max_epochs=100, device="cpu"),
    AdversarialClassifier(max_epochs=100, device="cpu"),
    GroupSpecificClassifier(max_epochs=100, device="cpu"),
    RegularizedClassifier(max_epochs=100, device="cpu"),
    AdversarialFairnessClassifier(),
    AdversarialFairnessClassifier(predictor_model=[8, "relu"], adversary_model=[4]),
    ExponentiatedGradient(LogisticRegression(), DemographicParity()),
    GridSearch(LogisticRegression(), DemographicParity()),
    ThresholdOptimizer(estimator=LogisticRegression()),
]


def count(estimator):
    """Number of checks passed and run, and names of those that failed."""
    logging.disable()  # fairlearn logs what it assumes
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            results = check_estimator(estimator, on_fail=None, on_skip=None)
        except Exception as error:
            return {"estimator": repr(estimator)[:60], "failed": repr(error)[:80]}
    run = [result for result in results if result["status"] != "skipped"]
    failed = [r["check_name"] for r in run if r["status"] != "passed"]
    return {
        "estimator": repr(estimator)[:60],
        "package": type(estimator).__module__.split(".")[0],
        "passed": len(run) - len(failed),
        "run": len(run),
        "failed": ", ".join(failed) if len(failed) < 4 else f"{len(failed)} checks",
    }


def main():
    packages = ["scikit-learn", "fairlearn", "torch"]
    print(", ".join(f"{p} {importlib.metadata.version(p)}" for p in packages))
    rows = Parallel(n_jobs=2)(delayed(count)(estimator) for estimator in ESTIMATORS)
    print(pd.DataFrame(rows).to_string(index=False))


if __name__ == "__main__":
    main()
