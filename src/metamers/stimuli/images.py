"""Image files: checked from their headers, and decoded to 8-bit sRGB."""

import warnings
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from threading import Lock
from typing import IO

import numpy as np
from PIL import Image, ImageCms, ImageOps
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from metamers.errors import MetamersError
from metamers.stimuli.pixels import MAX_PIXELS, MIN_SIDE, Pixels

SUFFIXES = (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".tif", ".tiff")
# What lies behind transparent pixels: mid gray, the usual ground in vision experiments.
GROUND = (128, 128, 128)

_FORMATS = (PngImageFile.format, JpegImageFile.format, WebPImageFile.format, TiffImageFile.format)
_GRAY_MODES = ("1", "L", "LA")
_COLOR_MODES = ("P", "PA", "RGB", "RGBA", "RGBX")
_PNG_DEPTH = 24  # where a PNG file has the bits per channel
_ORIENTATION, _BITS_PER_SAMPLE = 0x0112, 0x0102  # tags of EXIF and TIFF
_PNG_ORIENTED = ("exif", "Raw profile type exif", "XML:com.adobe.xmp")  # where Pillow keeps a PNG's orientation

_QUIET = Lock()


def read_size(file: IO[bytes], where: str) -> tuple[int, int]:
    """(height, width) of an image file as it is shown (after EXIF rotation), from its header alone.

    `where` names the file in messages. A PNG's EXIF data behind its pixels are not seen here, only by `decode_image`.

    Raises MetamersError where the file is no PNG, JPEG, WebP or TIFF image, has a side under 8 pixels or over 64
    megapixels, 16 bits a channel, CMYK or other colors than gray and RGB, several pictures, or a broken color profile.
    """
    image = _open_checked(file, where)
    width, height = image.size
    return (width, height) if _header_is_turned(image) else (height, width)


def decode_image(data: bytes, where: str) -> Pixels:
    """The pixels of an image file: uint8 [height, width, 3], sRGB.

    Turned as EXIF says; colors taken from the file's ICC profile to sRGB (relative colorimetric, black point
    compensated; none: they are sRGB); gray repeated; transparent pixels laid over mid gray (128). A JPEG that carries
    further pictures (MPO) gives its first.

    Raises MetamersError where `read_size` does, and where the file is truncated or broken.
    """
    image = _open_checked(BytesIO(data), where)
    profile = _profile(image, where)
    _scale_transparency(image, data[_PNG_DEPTH])
    try:
        image.load()
        image = ImageOps.exif_transpose(image)
        alpha = image.convert("RGBA").getchannel("A") if image.has_transparency_data else None
        color = _without_alpha(image)
    except Exception as error:
        raise MetamersError(f"{where} is truncated or broken ({_reason(error)}); replace or remove it") from error
    if profile is not None:
        color = _to_srgb(color, profile, where)
    color = color.convert("RGB")
    if alpha is not None:
        color = Image.composite(color, Image.new("RGB", color.size, GROUND), alpha)
    return np.array(color)


def read_image(path: str | Path) -> Pixels:
    """The pixels of a PNG file that this package wrote: uint8 [height, width, 3 or 1], exactly as written.

    Raises MetamersError where the file is missing, broken, or no 8-bit RGB or gray PNG.
    """
    where = f"'{path}'"
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise MetamersError(f"{where} cannot be read: {error.strerror or error}; restore or make it again") from error
    image = _open_checked(BytesIO(data), where, min_side=1)
    if image.format != "PNG" or image.mode not in ("RGB", "L"):
        raise MetamersError(f"{where} is a {image.format} image in mode {image.mode}; expected an RGB or gray PNG")
    try:
        pixels = np.array(image)
    except Exception as error:
        raise MetamersError(f"{where} is truncated or broken ({_reason(error)}); restore or make it again") from error
    return pixels[..., None] if pixels.ndim == 2 else pixels


def _open_checked(file: IO[bytes], where: str, min_side: int = MIN_SIDE) -> Image.Image:
    """The image, its header read and found good, its pixels not yet decoded."""
    start = file.read(32)
    if not start:
        raise MetamersError(f"{where} is empty; replace or remove it")
    # Pillow warns of harmless oddities in metadata. The filters are the process's: changed by one thread at a time.
    with _QUIET, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            image = _open(file, start, where)
            _check_size(image, where, min_side)
            _check_colors(image, start, where)
            _check_pictures(image, where)
            _header_is_turned(image)
        except MetamersError:
            raise
        except Exception as error:  # Pillow's readers raise whatever a broken file leads them to
            raise MetamersError(f"{where} is truncated or broken ({_reason(error)}); replace or remove it") from error
    _profile(image, where)
    return image


def _open(file: IO[bytes], start: bytes, where: str) -> Image.Image:
    # Image.open would warn of a large image, or refuse it, before its size can be asked.
    for name in _FORMATS:
        factory, accept = Image.OPEN[name]
        if accept is not None and accept(start) is True:
            file.seek(0)
            return factory(file, "")
    raise MetamersError(f"{where} is no PNG, JPEG, WebP or TIFF image; convert or remove it")


def _check_size(image: Image.Image, where: str, min_side: int) -> None:
    width, height = image.size
    if min(width, height) < min_side:
        raise MetamersError(f"{where} has {width} x {height} pixels; give sides of at least {min_side}, or remove it")
    if width * height > MAX_PIXELS:
        raise MetamersError(
            f"{where} has {width} x {height} pixels, over {MAX_PIXELS // 10**6} megapixels; scale it down first"
        )


def _check_colors(image: Image.Image, start: bytes, where: str) -> None:
    bits = 8
    if image.format == "PNG":
        bits = start[_PNG_DEPTH]
    elif isinstance(image, TiffImageFile):
        bits = max(image.tag_v2.get(_BITS_PER_SAMPLE, (1,)))
    if bits > 8:
        raise MetamersError(f"{where} has {bits} bits a channel; convert it to 8 bits")
    if image.mode not in _GRAY_MODES + _COLOR_MODES:
        raise MetamersError(f"{where} is a {image.mode} image; convert it to RGB")


def _check_pictures(image: Image.Image, where: str) -> None:
    n_pictures = getattr(image, "n_frames", 1)
    if n_pictures > 1 and image.format != "MPO":
        raise MetamersError(f"{where} holds {n_pictures} pictures (animation or pages); save one of them alone")


def _header_is_turned(image: Image.Image) -> bool:
    """Whether the image is shown with the height and width of its header exchanged."""
    # Pillow gives the size of a TIFF as it is shown, and a PNG's own getexif decodes it in search of EXIF data.
    if image.format == "TIFF" or (image.format == "PNG" and not any(key in image.info for key in _PNG_ORIENTED)):
        return False
    return Image.Image.getexif(image).get(_ORIENTATION) in (5, 6, 7, 8)


def _scale_transparency(image: Image.Image, bits: int) -> None:
    """Bring the transparent level of a gray PNG to 8 bits: Pillow scales the pixels of one of 2 or 4 bits, not this."""
    level = image.info.get("transparency")
    if image.format == "PNG" and image.mode == "L" and isinstance(level, int) and level < 2**bits < 256:
        image.info["transparency"] = level * 255 // (2**bits - 1)


def _without_alpha(image: Image.Image) -> Image.Image:
    """The image as RGB or L, the colors under transparent pixels kept."""
    if image.mode in _GRAY_MODES:
        return image.convert("L")
    # By way of RGBA: a palette's transparency in bytes makes Pillow warn otherwise.
    return image if image.mode == "RGB" else image.convert("RGBA").convert("RGB")


def _profile(image: Image.Image, where: str) -> bytes | None:
    """The image's color profile, None where it has none, found readable and fit for its colors."""
    profile = image.info.get("icc_profile")
    if not profile:
        return None
    try:
        space = _color_space(profile)
    except (ImageCms.PyCMSError, OSError, ValueError) as error:
        raise MetamersError(_profile_message(where, _reason(error))) from error
    # A gray image with an RGB profile is common, and its meaning is clear: three equal channels.
    if space != "RGB" and not (space == "GRAY" and image.mode in _GRAY_MODES):
        raise MetamersError(_profile_message(where, f"one for {space} in an image of mode {image.mode}"))
    return bytes(profile)


def _color_space(profile: bytes) -> str:
    return ImageCms.ImageCmsProfile(BytesIO(profile)).profile.xcolor_space.strip()


def _to_srgb(image: Image.Image, profile: bytes, where: str) -> Image.Image:
    try:
        image = image.convert("L" if _color_space(profile) == "GRAY" else "RGB")
        transform = _transform(profile, image.mode)
        return image if transform is None else transform.apply(image)
    except (ImageCms.PyCMSError, OSError, ValueError) as error:
        raise MetamersError(_profile_message(where, _reason(error))) from error


def _profile_message(where: str, reason: str) -> str:
    return f"{where} has a color profile that cannot be used ({reason}); save it as sRGB, or without a profile"


@lru_cache(maxsize=16)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """The transform of images of a mode (RGB or L) to sRGB; None where the profile is sRGB."""
    transform = ImageCms.buildTransform(
        ImageCms.ImageCmsProfile(BytesIO(profile)),
        ImageCms.createProfile("sRGB"),
        mode,
        "RGB",
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION | ImageCms.Flags.HIGHRESPRECALC,
    )
    levels = np.arange(0, 256, 15, dtype=np.uint8)
    probe = levels if mode == "L" else np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(-1, 3)
    image = Image.fromarray(probe[None])
    shift = np.asarray(transform.apply(image), np.int16) - np.asarray(image.convert("RGB"), np.int16)
    # The many makes of sRGB profiles differ by a rounding; pixels that are sRGB stay as they are.
    return None if int(np.abs(shift).max()) <= 1 else transform


def _reason(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
