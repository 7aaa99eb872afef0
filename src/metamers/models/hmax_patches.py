"""What HMAX's S2 units are tuned to: patches of C1 responses, from a file or sampled from images."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from metamers.errors import MetamersError
from metamers.models.hmax import ORIENTATIONS, POOLS, SCALES, c1_scale, luminance, s1_filters, s1_responses

SIZES = tuple(range(2, 17, 2))
PATCHES = 400
"""Of each size."""
BAND = 1
"""The pair of scales that patches are sampled from."""


def sample_patches(images: Tensor, seed: int = 0, n: int = PATCHES) -> dict[int, Tensor]:
    """Patches of C1 responses to `images`, gray or RGB in [0, 1], float [N, C, H, W]: n of each side 2, 4, ... 16.

    Each patch, [4, p, p], is of a random image and place, from the second pair of scales (S1 filters of 11 and 13
    pixels), as Serre et al. (2007, IEEE TPAMI 29) took theirs. The same images and seed give the same patches.
    Raises MetamersError for images whose C1 map is smaller than the largest patch.
    """
    smallest = (SIZES[-1] - 1) * (POOLS[BAND] // 2)  # the first place of a C1 unit is the border
    if min(images.shape[2:]) < smallest:
        raise MetamersError(
            f"images of {images.shape[2]} x {images.shape[3]} pixels are too small to sample patches of HMAX from; "
            f"give sides of {smallest} pixels or more"
        )
    scales = SCALES[2 * BAND : 2 * BAND + 2]
    filters, sizes = s1_filters(scales), [size for size, _ in scales]
    with torch.no_grad():
        s1 = (s1_responses(x, filters, sizes) for x in (luminance(images) * 255).split(1))
        maps = torch.cat([c1_scale(x.chunk(2, 1), POOLS[BAND]) for x in s1])
    height, width = maps.shape[2:]
    random = torch.Generator().manual_seed(seed)

    def draw(size: int) -> Tensor:
        drawn = [
            torch.randint(high, (n,), generator=random) for high in (len(maps), height - size + 1, width - size + 1)
        ]
        places = zip(*(values.tolist() for values in drawn), strict=True)
        return torch.stack([maps[i, :, row : row + size, column : column + size] for i, row, column in places])

    return {size: draw(size) for size in SIZES}


def read_patches(path: str | Path) -> dict[int, Tensor]:
    """Patches by side p, each float [n, 4, p, p], from a file.

    `.safetensors` and `.npz` (without pickles) hold one array for each side, of any name; `.mat` (MATLAB 5) the cells
    `patches` and the sizes `patchSizes`, as in the universal patch set of Serre et al. (2007, PNAS 104).
    Raises MetamersError for a file that is missing or unreadable, and for patches that HMAX cannot use.
    """
    path = Path(path)
    if path.suffix not in _READERS:
        raise MetamersError(f"patches '{path}': give a file of {', '.join(_READERS)}")
    if not path.is_file():
        raise MetamersError(f"no file of patches '{path}'; check the path")
    try:
        arrays = _READERS[path.suffix](path)
    except Exception as error:  # of a damaged file, the libraries raise anything
        raise MetamersError(
            f"patches '{path}' cannot be read ({type(error).__name__}); fetch the file again"
        ) from error
    patches: dict[int, Tensor] = {}
    for array in sorted(arrays, key=lambda array: array.shape[-1:]):
        _require_patches(array, patches, path)
        patches[array.shape[-1]] = torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))
    if not patches:
        raise MetamersError(f"patches '{path}' holds no array; give float [n, {len(ORIENTATIONS)}, p, p] for each side")
    return patches


def _require_patches(array: Any, before: dict[int, Tensor], path: Path) -> None:
    shape = list(array.shape)
    fits = array.ndim == 4 and shape[1] == len(ORIENTATIONS) and shape[2] == shape[3] and shape[2] % 2 == 0
    if array.dtype.kind != "f" or not fits or not array.size:
        what = f"{array.dtype} {shape}; give floats [n, {len(ORIENTATIONS)}, p, p], p even"
    elif not np.isfinite(array).all():
        what = f"values that are not finite, among those of {shape}"
    elif shape[2] in before:
        what = f"two arrays of side {shape[2]}; give one"
    elif any(len(other) != shape[0] for other in before.values()):
        what = f"{shape[0]} patches of one side and {len(next(iter(before.values())))} of another; give as many of each"
    else:
        return
    raise MetamersError(f"patches '{path}' holds {what}")


def _read_safetensors(path: Path) -> list[Any]:
    from safetensors.numpy import load_file

    return list(load_file(path).values())


def _read_npz(path: Path) -> list[Any]:
    with np.load(path, allow_pickle=False) as arrays:
        return [arrays[name] for name in arrays.files]


def _read_mat(path: Path) -> list[Any]:
    from scipy.io import loadmat

    # Cells hold [p * p * 4, n] in MATLAB's order: rows, columns, orientations.
    held = loadmat(str(path), appendmat=False, variable_names=["patches", "patchSizes"])
    columns = [[int(value) for value in column] for column in held["patchSizes"].T]
    return [
        np.reshape(cell, (*sizes[:3], -1), order="F").transpose(3, 2, 0, 1)
        for cell, sizes in zip(held["patches"].ravel(), columns, strict=True)
    ]


_READERS = {".safetensors": _read_safetensors, ".npz": _read_npz, ".mat": _read_mat}
