import gc

import torch
from hypothesis import settings

# The first call of a torch function may take longer than hypothesis allows.
settings.register_profile("fairtask", deadline=None, derandomize=True)
settings.load_profile("fairtask")
# Most of what a test makes is freed by itself: garbage is looked for less often.
gc.set_threshold(20_000, 20, 20)
# The tests run in several processes already.
torch.set_num_threads(1)


def pytest_collection_modifyitems(items):
    """Count the tests that read real data among the slow ones."""
    for item in items:
        if item.get_closest_marker("real_data"):
            item.add_marker("slow")


def pytest_collection_finish():
    """Leave the modules and the tests out of every later collection of garbage."""
    gc.collect()
    gc.freeze()


def pytest_runtest_setup(item):
    """Seed torch on the CPU, so that a test does not depend on those before it."""
    # `torch.manual_seed` is slow: it notes a stack for each device that is not in use.
    torch.default_generator.manual_seed(0)
