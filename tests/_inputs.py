"""Inputs that several test modules share."""

import numpy as np
import torch
from hypothesis import strategies as st
from torch import nn
from torch.testing import assert_close

from fairtask import AuxiliaryFairnessClassifier
from fairtask.modules import FAIRNESS_HEADS, MLP, MultiTaskNetwork

N_CLASSES = 2
# A filter of warnings for networks that are hardly trained.
NOT_LEARNT = "ignore:The network has learnt next to nothing"


@st.composite
def batches(draw, *, max_groups=50, max_samples=64):
    """(logits, y, groups, n_groups): any composition, unknown groups among them."""
    n_groups = draw(st.integers(2, max_groups))
    n = draw(st.integers(1, max_samples))
    # Few groups and classes are drawn from, so that absent cells are common.
    groups_drawn = draw(
        st.lists(st.integers(-1, n_groups - 1), min_size=1, max_size=4, unique=True)
    )
    classes_drawn = draw(st.sampled_from([[0], [1], [0, 1]]))
    seed = draw(st.integers(0, 2**16))
    scale = draw(st.sampled_from([0.0, 1.0, 100.0]))
    rng = np.random.default_rng(seed)
    return (
        torch.tensor(scale * rng.normal(size=(n, N_CLASSES)), dtype=torch.float32),
        torch.tensor(rng.choice(classes_drawn, n)),
        torch.tensor(rng.choice(groups_drawn, n)),
        n_groups,
    )


def make_samples(n_samples=400, n_features=5, seed=0):
    """(X, y, z): a binary task whose label depends on a binary group."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_samples, n_features)).astype(np.float32)
    z = rng.integers(0, 2, n_samples)
    X[:, 0] += z
    y = (X[:, 0] + X[:, 1] + 0.5 * rng.normal(size=n_samples) > 0.5).astype(int)
    return X, y, z


def make_classifier(**kwargs):
    defaults = {
        "hidden_layer_sizes": (16,),
        "batch_size": 64,
        "max_epochs": 5,
        "lr": 0.01,
        "device": "cpu",
        "random_state": 0,
        "numeric_encoding": None,
    }
    return AuxiliaryFairnessClassifier(**{**defaults, **kwargs})


def weights(classifier, part="task"):
    """Weights of the trunk and the task head, or of the fairness heads."""
    state = classifier.net_.module_.state_dict()
    is_fairness = part == "fairness"
    return {k: v for k, v in state.items() if k.startswith("fairness") == is_fairness}


def assert_same_bits(actual, expected):
    """Assert that tensors, or lists or dicts of tensors, are equal to the last bit."""
    assert_close(actual, expected, rtol=0, atol=0)


def make_network(fairness_head, n_features=4, seed=0):
    """A network with a task head and a fairness head of this name, on 8 units."""
    torch.manual_seed(seed)
    head_class = FAIRNESS_HEADS[fairness_head]
    heads = [nn.Linear(8, N_CLASSES)] if head_class.has_own_heads else []
    trunk = MLP(n_features, [8], activation="tanh")
    return MultiTaskNetwork(trunk, [nn.Linear(8, N_CLASSES)], [head_class(heads)])
