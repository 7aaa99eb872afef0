"""Start signals: their statistics, and what their seed depends on."""

import numpy as np
import pytest
import torch

from metamers.errors import MetamersError
from metamers.store import Cell
from metamers.synthesis import Recipe
from metamers.synthesis.metamers import start_signals
from metamers.synthesis.starts import START_NOISE, cell_generator, noise, pink_noise

CELL = Cell("net", "layer1", "fast", "a.png", 0)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("std", [0.05, 0.1])
def test_noise_has_the_published_mean_and_std(std):
    x = noise((3, 128, 128), std, generator(), (0.0, 1.0))
    assert x.mean().item() == pytest.approx(0.5, abs=0.002)
    assert x.std().item() == pytest.approx(std, rel=0.02)
    neighbors = torch.corrcoef(torch.stack([x[..., 1:].flatten(), x[..., :-1].flatten()]))[0, 1]
    assert abs(neighbors) < 0.02


@pytest.mark.parametrize("make", START_NOISE.values())
def test_starts_lie_in_range(make):
    x = make((3, 32, 32), 0.6, generator(), (0.0, 1.0))
    assert (x.min(), x.max()) == (0, 1)
    assert x.dtype == torch.float32


def test_pink_noise_falls_as_one_over_f():
    x = pink_noise((3, 128, 128), 0.1, generator(), (0.0, 1.0))
    assert x.mean().item() == pytest.approx(0.5, abs=0.005)
    assert x.std().item() == pytest.approx(0.1, rel=0.05)
    amplitude = np.abs(np.fft.fft2(x.numpy()))
    f = np.hypot(np.fft.fftfreq(128)[:, None], np.fft.fftfreq(128)[None])
    chosen = (f > 0.02) & (f < 0.45)
    slope = np.polyfit(np.log(f[chosen]), np.log(amplitude[:, chosen].mean(0)), 1)[0]
    assert slope == pytest.approx(-1, abs=0.08)


def test_pink_noise_of_any_shape_is_finite():
    assert all(
        pink_noise((1, *size), 0.05, generator(), (0.0, 1.0)).isfinite().all() for size in ((1, 9), (9, 1), (2, 3))
    )


def test_the_start_is_seeded_by_the_cell_alone():
    def draw(cell):
        return torch.randn(4, generator=cell_generator(cell)).tolist()

    torch.manual_seed(1)
    first = draw(CELL)
    torch.manual_seed(2)
    assert draw(Cell("net", "layer1", "fast", "a.png", 0)) == first
    others = [
        *(Cell("net2", "layer1", "fast", "a.png", 0), Cell("net", "layer2", "fast", "a.png", 0)),
        *(Cell("net", "layer1", "slow", "a.png", 0), Cell("net", "layer1", "fast", "b.png", 0)),
        Cell("net", "layer1", "fast", "a.png", 1),
    ]
    assert len({tuple(draw(cell)) for cell in others} | {tuple(first)}) == 6


def test_starts_do_not_depend_on_the_batch():
    cells = [Cell("net", "layer1", "fast", f"{i}.png", 0) for i in range(4)]
    together = start_signals(Recipe("r"), cells, (3, 8, 8), None, kind="image")
    alone = [start_signals(Recipe("r"), [cell], (3, 8, 8), None, kind="image")[0] for cell in reversed(cells)]
    assert torch.equal(together, torch.stack(alone[::-1]))


def test_given_starts_are_read_and_counted(make_stimuli):
    cells = [Cell("net", "layer1", "fast", f"{i}.png", 0) for i in range(2)]
    starts = start_signals(Recipe("r"), cells, (1, 6, 6), make_stimuli(2).fit((6, 6), 1), kind="image")
    assert starts.shape == (2, 1, 6, 6)
    with pytest.raises(MetamersError, match="3 start stimuli for 2 references; give one for each"):
        start_signals(Recipe("r"), cells, (3, 12, 12), make_stimuli(3), kind="image")
