"""Random numbers of one training."""

import multiprocessing
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from fairtask._random import (
    GENERATORS,
    OwnStream,
    RandomStream,
    current_generator,
)
from fairtask.losses import GroupLossDivergence
from tests._inputs import (
    NOT_LEARNT,
    assert_same_bits,
    make_classifier,
    make_samples,
    weights,
)


def draw(stream):
    with stream:
        return torch.rand(3)


def test_a_stream_goes_on_where_it_stopped():
    torch.manual_seed(7)
    expected = torch.rand(6)
    stream = RandomStream(7)
    first, _, second = draw(stream), torch.rand(5), draw(stream)
    assert torch.equal(torch.cat([first, second]), expected)


def test_the_global_state_is_kept():
    before = torch.get_rng_state()
    stream = RandomStream(0)
    with stream, stream:  # a stream may be entered twice
        inside = torch.rand(1)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(inside, draw(RandomStream(0))[:1])


def test_an_own_stream_waits_for_nobody():
    with GENERATORS, ThreadPoolExecutor(1) as other:

        def draw_here():
            with OwnStream(0) as stream:
                assert current_generator() is stream.generator
                return torch.rand(3, generator=current_generator())

        drawn = other.submit(draw_here).result(timeout=10)
    assert torch.equal(drawn, draw(RandomStream(0)))
    assert current_generator() is None


def test_an_error_gives_the_generators_back():
    before = torch.get_rng_state()
    with pytest.raises(KeyError), RandomStream(0):
        raise KeyError
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.skipif(
    "fork" not in multiprocessing.get_all_start_methods(), reason="processes fork"
)
def test_a_forked_process_can_draw_while_a_thread_draws():
    is_held, release = threading.Event(), threading.Event()

    def hold():
        with GENERATORS:
            is_held.set()
            release.wait(0.2)

    holder = threading.Thread(target=hold)
    holder.start()
    is_held.wait()
    process = multiprocessing.get_context("fork").Process(
        target=draw, args=(RandomStream(0),)
    )
    process.start()
    process.join(20)
    is_finished = process.exitcode == 0
    process.kill()
    holder.join()
    assert is_finished


class NoisySGD(torch.optim.SGD):
    """Gradient descent with noise, as in Langevin dynamics."""

    @torch.no_grad()
    def step(self, closure=None):
        loss = super().step(closure)
        for group in self.param_groups:
            for weight in group["params"]:
                weight.add_(torch.randn_like(weight), alpha=1e-3)
        return loss


class NoisyLoss(GroupLossDivergence):
    """A loss that draws random numbers, as one of a user may."""

    def penalty(self, means, present):
        return super().penalty(means + 0.01 * torch.rand_like(means), present)


@pytest.mark.filterwarnings(NOT_LEARNT)
@pytest.mark.parametrize(
    "settings", [{"optimizer": NoisySGD}, {"fairness_loss": NoisyLoss}], ids=str
)
def test_optimizers_and_losses_may_draw(settings):
    X, y, z = make_samples(200)
    before = torch.get_rng_state()
    first, second = (
        make_classifier(**settings).fit(X, y, sensitive_features=z) for _ in range(2)
    )
    assert_same_bits(weights(first), weights(second))
    assert torch.equal(torch.get_rng_state(), before)
