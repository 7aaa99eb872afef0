import math

import pytest
import torch
from torch import Tensor

from metamers.models import StagedModel
from metamers.models.hmax import (
    HMAX,
    ORIENTATIONS,
    POOLS,
    S1,
    SCALES,
    STAGES,
    C1Maps,
    s1_filters,
    s1_responses,
    s2_scale,
)


def patches(n: int = 3, sizes: tuple[int, ...] = (2, 4)) -> dict[int, Tensor]:
    random = torch.Generator().manual_seed(0)
    return {size: 0.3 * torch.rand(n, 4, size, size, generator=random) for size in sizes}


def textures(n: int = 2, size: int = 64) -> Tensor:
    random = torch.Generator().manual_seed(1)
    coarse = torch.rand(n, 1, size // 4, size // 4, generator=random)
    return torch.nn.functional.interpolate(coarse, size=(size, size), mode="bicubic").clamp(0, 1)


def bars(degrees: float, wavelength: float, size: int = 61) -> Tensor:
    """A grating whose bars are turned from the vertical, [1, 1, size, size] in 0 to 255."""
    rows, columns = torch.meshgrid(*[torch.arange(float(size)) - size // 2] * 2, indexing="ij")
    angle = math.radians(degrees)
    across = columns * math.cos(angle) - rows * math.sin(angle)
    return (127.5 + 127.5 * torch.cos(2 * math.pi * across / wavelength))[None, None]


@pytest.mark.parametrize("scale", [SCALES[0], SCALES[5], SCALES[-1]])
def test_s1_answers_most_to_bars_of_its_own_orientation_and_width(scale: tuple[int, float]) -> None:
    size, halves = scale
    filters, wavelength = s1_filters([scale]), 2 * size / halves

    def answers(length: float) -> Tensor:
        of_bars = (s1_responses(bars(degrees, length), filters, [size]) for degrees in ORIENTATIONS)
        return torch.stack([found[0, :, 30, 30] for found in of_bars])

    center = [answers(wavelength * factor) for factor in (1.0, 0.5, 2.0)]
    assert (center[0].argmax(1) == torch.arange(4)).all()
    for other in center[1:]:
        assert (other.diagonal() < 0.7 * center[0].diagonal()).all()


def test_s1_filters_by_hand() -> None:
    sizes, halves = zip(*SCALES, strict=True)
    assert sizes == tuple(range(7, 38, 2))
    assert halves == pytest.approx([4 - 0.05 * i for i in range(16)])
    filters = s1_filters([(7, 4.0)])
    torch.testing.assert_close(filters.sum((1, 2, 3)), torch.zeros(4), atol=1e-6, rtol=0)
    torch.testing.assert_close(filters.square().sum((1, 2, 3)), torch.ones(4))
    vertical = torch.zeros(7, 7)
    wavelength = 3.5
    for row in range(-3, 4):
        for column in range(-3, 4):
            if math.hypot(row, column) <= 3.5:
                envelope = math.exp(-(column**2 + 0.3**2 * row**2) / (2 * (0.8 * wavelength) ** 2))
                vertical[row + 3, column + 3] = envelope * math.cos(2 * math.pi * column / wavelength)
    vertical -= vertical.mean()
    torch.testing.assert_close(filters[ORIENTATIONS.index(0), 0], vertical / vertical.norm())


def test_s1_is_local_contrast_and_zero_at_the_borders() -> None:
    filters = s1_filters([(9, 3.95)])
    x = textures() * 255
    found = s1_responses(x, filters, [9])
    patch = x[0, 0, 20:29, 30:39]
    torch.testing.assert_close(found[0, :, 24, 34], (filters[:, 0] * patch).sum((1, 2)).abs() / patch.norm())
    torch.testing.assert_close(s1_responses(0.3 * x, filters, [9]), found, rtol=1e-4, atol=1e-6)
    inside = torch.zeros(64, 64, dtype=torch.bool)
    inside[4:-4, 4:-4] = True
    assert (found[..., ~inside] == 0).all()
    assert (found[..., inside] > 0).float().mean() > 0.99
    assert not s1_responses(torch.zeros(1, 1, 12, 12), filters, [9]).any()


def test_scales_computed_together_are_those_computed_alone() -> None:
    x = textures(1) * 255
    together = S1()(x)
    assert together.shape == (1, 64, 64, 64)
    for i, (size, halves) in enumerate(SCALES):
        alone = s1_responses(x, s1_filters([(size, halves)]), [size])
        torch.testing.assert_close(together[:, 4 * i : 4 * i + 4], alone, rtol=1e-4, atol=1e-5)


def test_c1_is_the_maximum_over_two_scales_and_a_neighborhood() -> None:
    s1 = torch.rand(1, 64, 24, 24, generator=torch.Generator().manual_seed(0))
    maps = C1Maps()(s1)
    assert [tuple(m.shape[1:]) for m in maps] == [(4, 24 // (p // 2) + 1, 24 // (p // 2) + 1) for p in POOLS]
    # The second unit of the first map: pixels 0 to 7 of the first and second scale.
    expected = torch.maximum(s1[0, 0:4, :8, :8], s1[0, 4:8, :8, :8]).amax((1, 2))
    torch.testing.assert_close(maps[0][0, :, 1, 1], expected)
    expected = torch.maximum(s1[0, 8:12, 5:15, 0:10], s1[0, 12:16, 5:15, 0:10]).amax((1, 2))
    torch.testing.assert_close(maps[1][0, :, 2, 1], expected)


def test_c1_forgives_small_shifts_that_s1_does_not() -> None:
    x = textures(4, 96) * 255
    s1 = S1()
    a, b = (s1(y) for y in (x, x.roll(2, 3)))
    inner = (..., slice(24, -24), slice(24, -24))
    moved = (a - b)[inner][:, :8].norm() / a[inner][:, :8].norm()
    maps = [C1Maps()(y)[0][..., 6:-6, 6:-6] for y in (a, b)]
    moved_c1 = (maps[0] - maps[1]).norm() / maps[0].norm()
    assert moved > 0.3
    assert moved_c1 < 0.5 * moved


def test_s2_is_a_gaussian_of_the_distance_from_each_patch() -> None:
    random = torch.Generator().manual_seed(0)
    c1, of_size = torch.rand(2, 4, 5, 6, generator=random), torch.rand(3, 4, 4, 4, generator=random)
    found = s2_scale(c1, of_size)
    assert found.shape == (2, 3, 6, 7)
    padded = torch.nn.functional.pad(c1, [2] * 4)
    for i in range(2):
        for j in range(3):
            for row in range(6):
                for column in range(7):
                    d = torch.linalg.vector_norm(padded[i, :, row : row + 4, column : column + 4] - of_size[j])
                    assert float(found[i, j, row, column]) == pytest.approx(math.exp(-(float(d) ** 2) / 2), rel=1e-4)


def test_layers_follow_from_each_other() -> None:
    network = HMAX(patches(), classes=7).eval()
    model = StagedModel(network, input_size=64, channels=1, stages=STAGES)
    x = textures()
    found = model.activations(x, [*STAGES, "c1_maps[2]"])
    assert model.stages == STAGES
    maps = network.c1_maps(found["s1"])
    torch.testing.assert_close(found["c1_maps[2]"], maps[2])
    torch.testing.assert_close(found["c1"], torch.cat([m.flatten(1) for m in maps], 1))
    assert network.c1.unit_sizes == tuple(m[0].numel() for m in maps)
    s2 = [torch.cat([s2_scale(m, p).flatten(2) for m in maps], 2) for p in patches().values()]
    torch.testing.assert_close(found["s2"], torch.stack(s2, 1))
    torch.testing.assert_close(found["c2"], found["s2"].amax(3))
    torch.testing.assert_close(found["output"], network.fc(found["c2"].flatten(1)))


def test_color_is_seen_as_its_luminance() -> None:
    network = HMAX(patches()).eval()
    rgb = textures(6).view(2, 3, 64, 64)
    gray = 0.299 * rgb[:, :1] + 0.587 * rgb[:, 1:2] + 0.114 * rgb[:, 2:]
    torch.testing.assert_close(network(rgb), network(gray), rtol=1e-4, atol=1e-5)


def test_stages_have_the_published_shapes(shapes_of) -> None:
    shapes = shapes_of(HMAX(patches(400, tuple(range(2, 17, 2)))), (1, 250, 250))
    sides = [63, 51, 42, 36, 32, 28, 26, 23]
    assert [shapes[f"c1_maps[{i}]"] for i in range(8)] == [(4, side, side) for side in sides]
    assert [shapes[stage] for stage in STAGES] == [
        *[(64, 250, 250), (4 * sum(s**2 for s in sides),), (8, 400, sum((s + 1) ** 2 for s in sides)), (8, 400)],
        (1000,),
    ]


def test_only_the_readout_is_trained() -> None:
    network = HMAX(patches(), classes=5)
    assert [name for name, _ in network.named_parameters()] == ["fc.weight", "fc.bias"]
    assert set(network.state_dict()) == {"fc.weight", "fc.bias", "s2.patches2", "s2.patches4"}
    x = textures().requires_grad_()
    network(x).square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in network.parameters())
    assert x.grad is not None
    assert torch.isfinite(x.grad).all()
    assert x.grad.any()
