import torch
from hypothesis import settings

# The first call of a torch function may take longer than hypothesis allows.
settings.register_profile("fairtask", deadline=None, derandomize=True)
settings.load_profile("fairtask")
# The tests run in several processes already.
torch.set_num_threads(1)
