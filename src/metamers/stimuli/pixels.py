"""8-bit pixels: fitted to a size, rounded from signals, and written to PNG and back without loss."""

from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from metamers.errors import MetamersError

if TYPE_CHECKING:
    import torch

Pixels = NDArray[np.uint8]

MIN_SIDE = 8  # pixels
MAX_PIXELS = 64_000_000


def fit_pixels(pixels: Pixels, size: tuple[int, int], channels: int) -> Pixels:
    """`pixels` (uint8 [H, W, 1 or 3]) as uint8 [*size, channels].

    The image is scaled to cover `size` (height, width) by antialiased bicubic interpolation (for a square: its shorter
    side to the square's) and its center is cropped, with the roundings of torchvision's Resize and CenterCrop. An image
    that has the size already keeps its pixels. RGB turns into gray as luminance (ITU-R BT.601), gray into RGB by
    repetition.

    Raises MetamersError where the image is so elongated that it would have over 64 megapixels before the crop.
    """
    height, width, given_channels = pixels.shape
    if given_channels != channels:
        pixels = np.asarray(_image(pixels).convert("L"))[..., None] if channels == 1 else pixels.repeat(3, axis=2)
    if (height, width) == size:
        return pixels
    scaled_height, scaled_width = _cover((height, width), size)
    if scaled_height * scaled_width > MAX_PIXELS:
        raise MetamersError(
            f"an image of {width} x {height} pixels is too elongated to cover {size[1]} x {size[0]}; crop it first"
        )
    image = _image(pixels).resize((scaled_width, scaled_height), Image.Resampling.BICUBIC)
    # Python's round (half to even), as torchvision's center crop has it.
    top, left = round((scaled_height - size[0]) / 2), round((scaled_width - size[1]) / 2)
    fitted = np.asarray(image.crop((left, top, left + size[1], top + size[0])))
    return fitted[..., None] if channels == 1 else fitted


def _cover(given: tuple[int, int], size: tuple[int, int]) -> tuple[int, int]:
    """The smallest (height, width) of the shape `given` that covers `size`."""
    if given[0] * size[1] < given[1] * size[0]:
        return size[0], given[1] * size[0] // given[0]
    return given[0] * size[1] // given[1], size[1]


def _image(pixels: Pixels) -> Image.Image:
    return Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)


def quantize(signal: "torch.Tensor | NDArray[Any]") -> Pixels:
    """A signal, floats [channels, height, width] in [0, 1], as pixels, uint8 [height, width, channels].

    Values are multiplied by 255 and rounded, halves to even, in float32 (float64 signals: in float64).

    Raises MetamersError for another shape or type and for values that are not finite or outside [0, 1].

    >>> quantize(np.array([[[0.0, 0.1, 0.3, 1.0]]])).ravel().tolist()
    [0, 26, 76, 255]
    """
    values = _as_numpy(signal)
    if not np.issubdtype(values.dtype, np.floating):
        raise MetamersError(f"a signal holds {values.dtype} values; give floats in [0, 1], [channels, height, width]")
    if values.ndim != 3 or values.shape[0] not in (1, 3) or 0 in values.shape:
        raise MetamersError(f"a signal has shape {list(values.shape)}; give [channels, height, width], 1 or 3 channels")
    if not np.isfinite(values).all():
        raise MetamersError("a signal holds NaN or infinite values; only finite ones can be pixels")
    low, high = float(values.min()), float(values.max())
    if low < 0 or high > 1:
        raise MetamersError(f"a signal holds values from {low:.6g} to {high:.6g}; clamp it to [0, 1] first")
    if values.dtype != np.float64:
        values = values.astype(np.float32)
    return np.ascontiguousarray(np.rint(values * values.dtype.type(255)).astype(np.uint8).transpose(1, 2, 0))


def _as_numpy(signal: "torch.Tensor | NDArray[Any]") -> NDArray[Any]:
    if isinstance(signal, np.ndarray):
        return signal
    tensor = signal.detach().cpu()
    # numpy has no bfloat16.
    return np.asarray(tensor.float().numpy() if tensor.is_floating_point() and tensor.itemsize < 4 else tensor.numpy())


def encode_png(signal: "torch.Tensor | NDArray[Any]") -> bytes:
    """The PNG file of a signal, floats [channels, height, width] in [0, 1] (rounded by `quantize`), or of pixels,
    uint8 [height, width, channels]; 3 channels (RGB) or 1 (gray).

    Raises MetamersError for another shape or type and for values that are not finite or outside [0, 1].

    >>> encode_png(np.full((1, 8, 8), 0.5))[1:4]
    b'PNG'
    """
    pixels = _as_numpy(signal)
    if pixels.dtype != np.uint8:
        pixels = quantize(signal)
    elif pixels.ndim != 3 or pixels.shape[2] not in (1, 3) or 0 in pixels.shape:
        raise MetamersError(f"pixels have shape {list(pixels.shape)}; give [height, width, channels], 1 or 3 channels")
    buffer = BytesIO()
    _image(pixels).save(buffer, format="PNG")
    return buffer.getvalue()


def write_png(path: str | Path, signal: "torch.Tensor | NDArray[Any]") -> None:
    """Write `encode_png(signal)` to `path`, whose folder must exist.

    Raises MetamersError as `encode_png` does, before a file is opened, and where `path` cannot be written.
    """
    data = encode_png(signal)
    try:
        Path(path).write_bytes(data)
    except OSError as error:
        raise MetamersError(f"cannot write '{path}': {error.strerror or error}; choose another place") from error
