"""Images kept in one npz file."""

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metamers.errors import MetamersError
from metamers.stimuli.pixels import MIN_SIDE
from metamers.stimuli.stimulus_set import StimulusSet

Array = NDArray[Any]


def load_npz(path: Path, name: str) -> StimulusSet:
    """The images of an npz file as a set called `name`.

    The file holds `X`, uint8 [N, height, width, 3 or 1]; where it has labels, `y`, N integers or strings; and where the
    integers count class names, those as `classes`. Integers without `classes` become labels of digits. Ids are the
    indices, "00000" and so on.

    Raises MetamersError where the file is broken, holds pickled objects or has no `X`, and for arrays of another type
    or shape.
    """
    arrays = _read(path)
    if "X" not in arrays:
        raise MetamersError(f"'{path}' has no array 'X'; save the images as X, uint8 [images, height, width, channels]")
    images = arrays["X"]
    if images.dtype != np.uint8:
        raise MetamersError(f"'{path}': X holds {images.dtype}; save it as uint8, 0 to 255")
    if images.ndim != 4 or images.shape[3] not in (1, 3):
        raise MetamersError(
            f"'{path}': X has shape {list(images.shape)}; save it as [images, height, width, channels], 1 or 3 channels"
        )
    if min(images.shape[1:3]) < MIN_SIDE:
        raise MetamersError(f"'{path}': X has shape {list(images.shape)}; give at least {MIN_SIDE} pixels a side")
    classes = _classes(arrays["classes"], path) if "classes" in arrays else ()
    labels = _labels(arrays["y"], len(images), classes, path) if "y" in arrays else None
    return StimulusSet.from_arrays(images, labels, classes=classes, name=name)


def _read(path: Path) -> dict[str, Array]:
    """The arrays X, y and classes of the file, those that it has."""
    try:
        # numpy would leave a file open that it cannot read.
        with path.open("rb") as stream:
            loaded = np.load(stream, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                raise MetamersError(f"'{path}' is a single array; save it with numpy.savez as X")
            arrays = {key: loaded[key] for key in ("X", "y", "classes") if key in loaded.files}
            if not all(isinstance(array, np.ndarray) for array in arrays.values()):
                raise ValueError("numpy gives the bytes of what is no array")
            return arrays
    except MetamersError:
        raise
    except MemoryError as error:
        raise MetamersError(f"'{path}' does not fit in memory; save fewer or smaller images in one file") from error
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
        if "Object arrays" in str(error):
            raise MetamersError(f"'{path}' holds pickled objects; save plain arrays, no lists of arrays") from error
        if isinstance(error, OSError) and error.errno:
            raise MetamersError(f"'{path}' cannot be read ({error.strerror}); repair or replace it") from error
        raise MetamersError(f"'{path}' is truncated or no npz file; save it again with numpy.savez") from error


def _classes(classes: Array, path: Path) -> tuple[str, ...]:
    if classes.ndim != 1 or classes.dtype.kind != "U":
        raise MetamersError(f"'{path}': classes is {classes.dtype} {list(classes.shape)}; save a list of strings")
    return tuple(str(name) for name in classes)


def _labels(y: Array, n: int, classes: tuple[str, ...], path: Path) -> list[str | None]:
    if y.shape != (n,):
        raise MetamersError(f"'{path}': y has shape {list(y.shape)} for {n} images in X; save one label an image")
    if y.dtype.kind == "U":
        return [str(label) or None for label in y]
    if y.dtype.kind not in "iu":
        raise MetamersError(f"'{path}': y holds {y.dtype}; save integers or strings")
    if classes and n and not 0 <= int(y.min()) <= int(y.max()) < len(classes):
        raise MetamersError(
            f"'{path}': y runs from {y.min()} to {y.max()}, but there are {len(classes)} classes; "
            f"count them from 0 to {len(classes) - 1}"
        )
    return [classes[int(index)] if classes else str(int(index)) for index in y]
