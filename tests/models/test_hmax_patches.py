from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from scipy.io import savemat
from torch import Tensor

from metamers.errors import MetamersError
from metamers.models.hmax import S1, C1Maps
from metamers.models.hmax_patches import SIZES, read_patches, sample_patches


@pytest.fixture(scope="module")
def images() -> Tensor:
    return torch.rand(2, 3, 96, 96, generator=torch.Generator().manual_seed(0))


def test_sampled_patches_are_parts_of_the_second_band(images: Tensor) -> None:
    sampled = sample_patches(images, seed=3, n=5)
    assert {size: tuple(p.shape) for size, p in sampled.items()} == {s: (5, 4, s, s) for s in SIZES}
    gray = (images * torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1, keepdim=True)
    band = C1Maps()(S1()(gray * 255))[1]
    windows = band.unfold(2, 8, 1).unfold(3, 8, 1)  # [images, 4, rows, columns, 8, 8]
    for patch in sampled[8]:
        distance = (windows - patch[None, :, None, None]).abs().amax((1, 4, 5))
        assert float(distance.min()) < 1e-5
    assert len({tuple(p.flatten().tolist()) for p in sampled[8]}) == 5


def test_a_seed_gives_the_same_patches(images: Tensor) -> None:
    first, again, other = (sample_patches(images, seed=seed, n=3) for seed in (0, 0, 1))
    assert all(torch.equal(first[size], again[size]) for size in SIZES)
    assert not any(torch.equal(first[size], other[size]) for size in SIZES)


def test_images_too_small_to_sample_from() -> None:
    for height, width in ((64, 96), (96, 74), (4, 4), (0, 96)):
        with pytest.raises(
            MetamersError, match=f"images of {height} x {width} pixels are too small .* give sides of 75 pixels or more"
        ):
            sample_patches(torch.rand(1, 3, height, width))
    assert sample_patches(torch.rand(1, 1, 75, 75), n=1)[16].shape == (1, 4, 16, 16)


def test_files_hold_the_patches(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    patches = {size: random.random((3, 4, size, size)) for size in (2, 4)}
    save_file({f"any{s}": torch.from_numpy(p).float() for s, p in patches.items()}, tmp_path / "p.safetensors")
    np.savez(tmp_path / "p.npz", large=patches[4], small=patches[2])
    cells = np.empty((1, 2), dtype=object)
    for i, (size, of_size) in enumerate(patches.items()):
        # MATLAB's order: rows run fastest, then columns, then orientations.
        columns = [[p[o, r, c] for o in range(4) for c in range(size) for r in range(size)] for p in of_size]
        cells[0, i] = np.array(columns).T
    savemat(tmp_path / "p.mat", {"patches": cells, "patchSizes": np.array([[2, 4], [2, 4], [4, 4], [3, 3]])})
    for suffix in ("safetensors", "npz", "mat"):
        read = read_patches(tmp_path / f"p.{suffix}")
        assert list(read) == [2, 4]
        for size, of_size in patches.items():
            np.testing.assert_allclose(read[size], of_size, rtol=1e-6)
            assert read[size].dtype == torch.float32


def floats(*shape: int) -> np.ndarray:
    return np.ones(shape, dtype=np.float32)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({}, "holds no array"),
        ({"a": floats(3, 4, 3, 3)}, r"float32 \[3, 4, 3, 3\]; give floats \[n, 4, p, p\], p even"),
        ({"a": floats(3, 2, 2, 2)}, "give floats"),
        ({"a": floats(0, 4, 2, 2)}, "give floats"),
        ({"a": np.ones((3, 4, 2, 2), dtype=int)}, r"int64 \[3, 4, 2, 2\]; give floats"),
        ({"a": floats(4, 2)}, "give floats"),
        ({"a": np.full((3, 4, 2, 2), np.nan)}, "not finite"),
        ({"a": floats(3, 4, 2, 2), "b": floats(3, 4, 2, 2)}, "two arrays of side 2"),
        ({"a": floats(3, 4, 2, 2), "b": floats(2, 4, 4, 4)}, "2 patches of one side and 3 of another"),
        ({"a": np.array([object()], dtype=object)}, "cannot be read"),
    ],
)
def test_files_of_no_use(tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    np.savez(tmp_path / "p.npz", **arrays)
    with pytest.raises(MetamersError, match=message) as caught:
        read_patches(tmp_path / "p.npz")
    assert "p.npz" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["p.safetensors", "p.npz", "p.mat"])
def test_damaged_and_missing_files(tmp_path: Path, name: str) -> None:
    with pytest.raises(MetamersError, match=f"no file of patches '.*{name}'"):
        read_patches(tmp_path / name)
    (tmp_path / name).write_bytes(b"nothing of the kind" * 20)
    with pytest.raises(MetamersError, match=f"patches '.*{name}' cannot be read"):
        read_patches(tmp_path / name)


def test_files_of_another_kind() -> None:
    with pytest.raises(MetamersError, match=r"patches 'p.pt': give a file of .safetensors, .npz, .mat"):
        read_patches("p.pt")
