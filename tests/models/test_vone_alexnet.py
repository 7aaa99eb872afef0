import math

import pytest
import torch
from torch import Tensor

from metamers.models.gabors import draw_population
from metamers.models.vone_alexnet import (
    CELLS,
    NOISE_STD,
    PIXELS_PER_DEGREE,
    STAGES,
    V1Cells,
    V1Noise,
    VOneAlexNet,
    gabor_bank,
)

POPULATION = draw_population(2 * CELLS)
# Cells whose envelope holds a good part of a cycle: what a grating does to the others is no plain matter of its own.
SHARP = [i for i in range(2 * CELLS) if min(POPULATION.along[i], POPULATION.across[i]) > 0.45]
SIMPLE, COMPLEX = [i for i in SHARP if i < CELLS][:8], [i for i in SHARP if i >= CELLS][:8]


@pytest.fixture(scope="module")
def cells() -> V1Cells:
    return V1Cells()


def gratings(frequency: float, degrees: float, phases: int = 12) -> Tensor:
    """Gray gratings of amplitude 1 and mean 0, of `frequency` in cycles/degree, at `phases` phases: [P, 3, 25, 25]."""
    rows, columns = torch.meshgrid(torch.arange(25.0) - 12, torch.arange(25.0) - 12, indexing="ij")
    angle = math.radians(degrees)
    u = rows * math.cos(angle) + columns * math.sin(angle)
    shifts = torch.arange(phases).view(-1, 1, 1, 1) * 2 * math.pi / phases
    return torch.cos(2 * math.pi * frequency / PIXELS_PER_DEGREE * u + shifts).expand(-1, 3, -1, -1)


def responses(cells: V1Cells, cell: int, octaves: float = 0.0, turned: float = 0.0) -> Tensor:
    """Of the unit at the center to gratings like its own at all phases, [12]."""
    frequency = POPULATION.frequency[cell] * 2**octaves
    return cells(gratings(frequency, POPULATION.orientation[cell] + turned))[:, cell, 3, 3]


@pytest.mark.parametrize("cell", SIMPLE + COMPLEX)
def test_cells_are_tuned_to_their_own_orientation_and_frequency(cells: V1Cells, cell: int) -> None:
    own = responses(cells, cell).max()
    for turned in (-90, -60, -30, 30, 60):
        assert responses(cells, cell, turned=turned).max() < own
    assert responses(cells, cell, turned=90).max() < 0.5 * own
    for octaves in (-1.5, 1.5):
        assert responses(cells, cell, octaves=octaves).max() < own


@pytest.mark.parametrize("cell", COMPLEX)
def test_complex_cells_do_not_care_for_phase(cells: V1Cells, cell: int) -> None:
    of_phases = responses(cells, cell)
    assert of_phases.min() > 0.85 * of_phases.max()


@pytest.mark.parametrize("cell", SIMPLE)
def test_simple_cells_do_and_are_silent_half_the_time(cells: V1Cells, cell: int) -> None:
    of_phases = responses(cells, cell)
    assert 5 <= int((of_phases == 0).sum()) <= 7
    # A half-wave rectified cosine has the mean 1 / pi.
    assert of_phases.mean() / of_phases.max() == pytest.approx(1 / math.pi, rel=0.05)


def test_responses_are_the_published_ones() -> None:
    filters, colors = gabor_bank()
    assert filters.shape == (768, 25, 25)
    assert torch.equal(colors[CELLS : 2 * CELLS], colors[2 * CELLS :])
    assert torch.bincount(colors).min() > 200
    x = torch.randn(1, 3, 25, 25, generator=torch.Generator().manual_seed(0))
    found = V1Cells()(x)[0, :, 3, 3]
    simple, even, odd = (filters * x[0, colors]).sum((1, 2)).split(CELLS)
    expected = torch.cat([simple.clamp(min=0), ((even**2 + odd**2 + 1e-5) / 2).sqrt()]) * 25
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    cell = SIMPLE[0]
    spread = 1 / (2 * math.pi * POPULATION.along[cell] * POPULATION.across[cell])
    peak = spread * (POPULATION.frequency[cell] / PIXELS_PER_DEGREE) ** 2
    center = peak * math.cos(math.radians(POPULATION.phase[cell]))
    assert float(filters[cell, 12, 12]) == pytest.approx(center, rel=1e-4)


def test_noise_is_fixed_when_evaluated_and_every_units_own() -> None:
    noise = V1Noise().eval()
    x = torch.full((3, 512, 8, 8), 100.0)
    first = noise(x)
    assert torch.equal(noise(x), first)
    assert torch.equal(noise(x[:1])[0], first[0])
    assert torch.equal(first[0], first[2])
    assert torch.equal(V1Noise().eval()(x), first)
    assert float(first[0].std()) == pytest.approx(NOISE_STD, rel=0.02)
    assert float(first[0].mean()) == pytest.approx(100, abs=0.1)
    noise(torch.zeros(1, 512, 4, 4))  # another size between
    assert torch.equal(noise(x), first)
    assert (noise(x - 100) >= 0).all()


def test_noise_is_fresh_when_trained() -> None:
    noise = V1Noise()
    x = torch.full((2, 512, 8, 8), 100.0)
    torch.manual_seed(0)
    a, b = noise(x), noise(x)
    assert not torch.equal(a, b)
    assert not torch.equal(a[0], a[1])
    assert float(a.std()) == pytest.approx(NOISE_STD, rel=0.02)


def test_stages_have_the_published_shapes(shapes_of) -> None:
    shapes = shapes_of(VOneAlexNet(), (3, 224, 224))
    assert shapes["bottleneck"] == (64, 56, 56)
    assert shapes["avgpool"] == (256, 7, 7)
    assert [shapes[stage] for stage in STAGES] == [
        *[(512, 56, 56), (192, 28, 28), (384, 14, 14), (256, 14, 14), (256, 14, 14), (4096,), (4096,), (1000,)],
    ]


def test_weights_are_as_many_as_published_and_the_cells_not_among_them() -> None:
    network = VOneAlexNet()
    convolutions = 512 * 64 + 192 * (64 * 25 + 1) + 384 * (192 * 9 + 1) + 256 * (384 * 9 + 1 + 256 * 9 + 1)
    head = 4096 * (256 * 49 + 1) + 4096 * 4097 + 1000 * 4097
    assert sum(parameter.numel() for parameter in network.parameters()) == convolutions + head == 74_741_800
    assert "v1.filters0" in network.state_dict()
    network.to("meta")(torch.empty(2, 3, 64, 64, device="meta")).sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())
