"""Small tables: the defaults against logistic regression, for the task alone.

Both are trained on 300 to 5,000 rows of the training part, and tested on the whole
test part. fairtask gets the raw data frame, `LogisticRegression` its standardised
numbers and one-hot categories.

    python benchmarks/small_tables.py
"""

import argparse

import pandas as pd
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline

from fairtask import AuxiliaryFairnessClassifier
from fairtask.experiments._cases import DataSource
from fairtask.experiments._protocol import make_encoder

SIZES = (300, 700, 2000, 5000)


def aucs(case, n_samples, seed):
    train, test = train_test_split(
        range(len(case.y)), test_size=0.2, stratify=case.y, random_state=seed
    )
    train, _ = train_test_split(
        train, train_size=n_samples, stratify=case.y[train], random_state=seed
    )
    models = {
        "logistic regression": make_pipeline(
            make_encoder(), LogisticRegression(max_iter=1000)
        ),
        "fairtask": AuxiliaryFairnessClassifier(lam=1, random_state=0),
    }
    return {
        name: roc_auc_score(
            case.y[test],
            model.fit(case.X.iloc[train], case.y[train]).predict_proba(
                case.X.iloc[test]
            )[:, 1],
        )
        for name, model in models.items()
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    rows = {}
    for dataset in ("adult", "bank", "compas"):
        case = DataSource.of(dataset).load()
        for n in SIZES:
            if n < 0.8 * len(case.y):
                runs = [aucs(case, n, 300 + i) for i in range(asked.repeats)]
                rows[dataset, n] = pd.DataFrame(runs).mean()
    print(f"AUC, mean of {asked.repeats} hold-outs")
    print(pd.DataFrame(rows).T.map("{:.4f}".format).to_string())


if __name__ == "__main__":
    main()
