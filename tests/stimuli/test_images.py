"""Decoding of image files, and the files that are refused."""

import struct
import warnings
import zlib
from collections.abc import Callable
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from metamers.errors import MetamersError
from metamers.stimuli.images import decode_image, read_size

FORMATS = ("PNG", "JPEG", "WEBP", "TIFF")
LOSSLESS: dict[str, dict[str, Any]] = {"PNG": {}, "WEBP": {"lossless": True}, "TIFF": {}}
RGB = np.random.default_rng(0).integers(0, 256, (10, 14, 3), dtype=np.uint8)
GRAY = RGB[..., 0]


def encoded(image: Image.Image, format: str, **options: Any) -> bytes:
    buffer = BytesIO()
    image.save(buffer, format=format, **options)
    return buffer.getvalue()


def smooth() -> Image.Image:
    """An image that JPEG keeps within a few levels."""
    ramp = np.linspace(20, 230, 32).astype(np.uint8)
    pixels = np.stack([np.tile(ramp, (24, 1)), np.full((24, 32), 90, np.uint8), np.tile(ramp[::-1], (24, 1))], axis=-1)
    return Image.fromarray(pixels)


def refused(data: bytes, message: str) -> None:
    """The one line with which a file is refused, at the latest when it is decoded."""
    with warnings.catch_warnings(), pytest.raises(MetamersError, match=message) as refusal:
        warnings.simplefilter("error")
        read_size(BytesIO(data), "'x.img'")
        decode_image(data, "'x.img'")
    line = str(refusal.value)
    assert line.startswith("'x.img'")
    assert "\n" not in line
    assert ";" in line  # what stands after it is the repair


def refused_by_its_header(data: bytes, message: str) -> None:
    with pytest.raises(MetamersError, match=message):
        read_size(BytesIO(data), "'x.img'")
    refused(data, message)


# What is read


@pytest.mark.parametrize("format", LOSSLESS)
def test_lossless_files_give_their_pixels(format: str) -> None:
    data = encoded(Image.fromarray(RGB), format, **LOSSLESS[format])
    assert read_size(BytesIO(data), "x") == (10, 14)
    assert np.array_equal(decode_image(data, "x"), RGB)


def test_a_jpeg_gives_its_pixels_nearly() -> None:
    decoded = decode_image(encoded(smooth(), "JPEG", quality=95), "x")
    assert np.abs(decoded.astype(int) - np.asarray(smooth())).max() < 8


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_gray_is_repeated(format: str) -> None:
    assert np.array_equal(decode_image(encoded(Image.fromarray(GRAY), format), "x"), np.stack([GRAY] * 3, axis=-1))


def test_one_bit_and_few_bit_gray_use_the_whole_range() -> None:
    black_and_white = Image.fromarray(GRAY > 127)
    assert set(np.unique(decode_image(encoded(black_and_white, "PNG"), "x"))) == {0, 255}
    two_bits = _png(b"\x1b" * 8, width=4 * 2, height=8, depth=2, color=0, row_bytes=2)
    assert set(np.unique(decode_image(two_bits, "x"))) == {0, 85, 170, 255}


def test_a_palette_gives_its_colors() -> None:
    image = Image.fromarray(RGB).quantize(16)
    assert np.array_equal(decode_image(encoded(image, "PNG"), "x"), np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("format", LOSSLESS)
def test_alpha_is_laid_over_mid_gray(format: str) -> None:
    alpha = np.zeros((10, 14), np.uint8)
    alpha[:, 5:10], alpha[:, 10:] = 255, 128
    image = Image.fromarray(np.dstack([RGB, alpha]))
    options = LOSSLESS[format] | ({"exact": True} if format == "WEBP" else {})
    decoded = decode_image(encoded(image, format, **options), "x")
    assert (decoded[:, :5] == 128).all()
    assert np.array_equal(decoded[:, 5:10], RGB[:, 5:10])
    blend = (RGB[:, 10:] * (128 / 255)) + 128 * (127 / 255)
    assert np.abs(decoded[:, 10:] - blend).max() <= 1


def test_gray_with_alpha_is_laid_over_mid_gray() -> None:
    alpha = np.where(np.arange(14) < 7, 0, 255).astype(np.uint8)
    image = Image.fromarray(np.dstack([GRAY, np.tile(alpha, (10, 1))]))
    decoded = decode_image(encoded(image, "PNG"), "x")
    assert (decoded[:, :7] == 128).all()
    assert np.array_equal(decoded[:, 7:, 2], GRAY[:, 7:])


def test_transparent_palette_entries_and_colors_are_laid_over_mid_gray() -> None:
    image = Image.new("P", (8, 8), 0)
    image.putpalette([255, 0, 0, 0, 255, 0])
    image.paste(1, (4, 0, 8, 8))
    for transparency in (0, b"\x00\xff"):
        decoded = decode_image(encoded(image, "PNG", transparency=transparency), "x")
        assert (decoded[:, :4] == 128).all()
        assert (decoded[:, 4:] == [0, 255, 0]).all()
    decoded = decode_image(encoded(image.convert("RGB"), "PNG", transparency=(0, 255, 0)), "x")
    assert (decoded[:, :4] == [255, 0, 0]).all()
    assert (decoded[:, 4:] == 128).all()


@pytest.mark.parametrize(("depth", "row"), [(2, b"\x1b\x1b"), (4, b"\x05\xaf\x05\xaf")])
def test_the_transparent_level_of_gray_of_few_bits(depth: int, row: bytes) -> None:
    for level in range(2**depth):
        opaque = _png(row * 8, 8, 8, depth, 0, len(row))
        transparent = _with_chunk(opaque, b"tRNS", struct.pack(">H", level), before=b"IDAT")
        levels = decode_image(opaque, "x")
        expected = np.where(levels == level * 255 // (2**depth - 1), 128, levels)
        assert np.array_equal(decode_image(transparent, "x"), expected)


TURNS: dict[int, Callable[[NDArray[Any]], NDArray[Any]]] = {  # how each EXIF orientation is shown
    1: lambda p: p,
    2: lambda p: p[:, ::-1],
    3: lambda p: p[::-1, ::-1],
    4: lambda p: p[::-1],
    5: lambda p: p.transpose(1, 0, 2),
    6: lambda p: np.rot90(p, -1),
    7: lambda p: p[::-1, ::-1].transpose(1, 0, 2),
    8: lambda p: np.rot90(p),
}


@pytest.mark.parametrize("orientation", TURNS)
@pytest.mark.parametrize("format", FORMATS)
def test_exif_turns_the_image(format: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.fromarray(RGB) if format != "JPEG" else smooth()
    data = encoded(image, format, exif=exif, **LOSSLESS.get(format, {"quality": 95}))
    expected = TURNS[orientation](np.asarray(image))
    assert read_size(BytesIO(data), "x") == expected.shape[:2]
    decoded = decode_image(data, "x")
    assert decoded.shape == expected.shape
    assert np.abs(decoded.astype(int) - expected).max() <= (8 if format == "JPEG" else 0)


def test_xmp_turns_a_png() -> None:
    xmp = b"XML:com.adobe.xmp" + bytes(5) + b'<rdf:Description tiff:Orientation="6"/>'
    data = _with_chunk(encoded(Image.fromarray(RGB), "PNG"), b"iTXt", xmp, before=b"IDAT")
    assert read_size(BytesIO(data), "x") == (14, 10)
    assert np.array_equal(decode_image(data, "x"), np.rot90(RGB, -1))


def test_exif_data_behind_the_pixels_turn_a_png() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = _with_chunk(encoded(Image.fromarray(RGB), "PNG"), b"eXIf", exif.tobytes()[6:], before=b"IEND")
    read_size(BytesIO(data), "x")
    assert np.array_equal(decode_image(data, "x"), np.rot90(RGB, -1))


def test_broken_metadata_does_not_hinder_and_does_not_warn() -> None:
    data = encoded(smooth(), "JPEG", exif=b"Exif\x00\x00II*\x00\x08\x00\x00\x00\xff\x00" + b"\x99" * 20)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_size(BytesIO(data), "x") == (24, 32)
        assert decode_image(data, "x").shape == (24, 32, 3)


def test_the_first_picture_of_a_phones_jpeg_is_read() -> None:
    data = encoded(smooth(), "MPO", save_all=True, append_images=[Image.new("RGB", (64, 64))])
    assert read_size(BytesIO(data), "x") == (24, 32)
    assert decode_image(data, "x").shape == (24, 32, 3)


def test_the_suffix_does_not_matter() -> None:
    assert decode_image(encoded(smooth(), "WEBP"), "'photo.jpg'").shape == (24, 32, 3)


# What is refused


@pytest.mark.parametrize("size", [(1, 1), (7, 100), (100, 7)])
@pytest.mark.parametrize("format", FORMATS)
def test_tiny_images_are_refused(format: str, size: tuple[int, int]) -> None:
    refused_by_its_header(encoded(Image.new("RGB", size), format), rf"has {size[0]} x {size[1]} pixels.* at least 8")


@pytest.mark.parametrize("sides", [(10_000, 10_000), (20_000, 20_000), (8, 8_000_001)])
def test_huge_images_are_refused_from_the_header_without_a_warning(sides: tuple[int, int]) -> None:
    data = _png(b"", *sides, depth=8, color=2, row_bytes=1)
    refused_by_its_header(data, rf"{sides[0]} x {sides[1]} pixels, over 64 megapixels; scale it down")


def test_64_megapixels_are_not_too_many() -> None:
    assert read_size(BytesIO(_png(b"", 8_000, 8_000, depth=8, color=2, row_bytes=1)), "x") == (8_000, 8_000)


@pytest.mark.parametrize("color", [0, 2, 4, 6], ids=["gray", "RGB", "gray with alpha", "RGB with alpha"])
def test_16_bit_png_files_are_refused(color: int) -> None:
    row_bytes = 2 * 8 * {0: 1, 2: 3, 4: 2, 6: 4}[color]
    refused_by_its_header(_png(bytes(8 * row_bytes), 8, 8, 16, color, row_bytes), "16 bits a channel; convert it to 8")


@pytest.mark.parametrize(("samples", "photometric"), [(1, 1), (3, 2)], ids=["gray", "RGB"])
def test_16_bit_tiff_files_are_refused(samples: int, photometric: int) -> None:
    refused_by_its_header(_tiff16(samples, photometric), "16 bits a channel; convert it to 8")


@pytest.mark.parametrize("mode", ["I", "F"])
def test_tiff_files_of_wide_numbers_are_refused(mode: str) -> None:
    refused_by_its_header(encoded(Image.new(mode, (9, 9)), "TIFF"), "32 bits a channel")


@pytest.mark.parametrize("format", ["JPEG", "TIFF"])
def test_cmyk_is_refused(format: str) -> None:
    refused_by_its_header(encoded(Image.new("CMYK", (9, 9)), format), "is a CMYK image; convert it to RGB")


def test_lab_is_refused() -> None:
    refused_by_its_header(encoded(Image.new("LAB", (9, 9)), "TIFF"), "is a LAB image; convert it to RGB")


@pytest.mark.parametrize("format", ["PNG", "WEBP", "TIFF"])
def test_animations_and_pages_are_refused(format: str) -> None:
    pages = [Image.new("RGB", (9, 9), color) for color in ("red", "blue")]
    data = encoded(pages[0], format, save_all=True, append_images=pages[1:])
    refused_by_its_header(data, "holds 2 pictures")


@pytest.mark.parametrize("kept", [0.03, 0.3, 0.6, 0.95])
@pytest.mark.parametrize("format", FORMATS)
def test_truncated_files_are_refused(format: str, kept: float) -> None:
    noise = Image.fromarray(np.random.default_rng(1).integers(0, 256, (60, 60, 3), dtype=np.uint8))
    data = encoded(noise, format)
    refused(data[: int(kept * len(data))], "truncated or broken .*; replace or remove it")


def test_altered_png_data_are_refused() -> None:
    data = bytearray(encoded(Image.fromarray(RGB), "PNG"))
    data[80] ^= 0xFF
    refused(bytes(data), "truncated or broken")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"\x89PNG", "no PNG, JPEG, WebP or TIFF"),
        (b"hello, world", "no PNG, JPEG, WebP or TIFF"),
        (encoded(smooth(), "BMP"), "no PNG, JPEG, WebP or TIFF"),
        (encoded(smooth(), "GIF"), "no PNG, JPEG, WebP or TIFF"),
        (b"\x89PNG\r\n\x1a\n", "truncated or broken"),
    ],
)
def test_what_is_no_image_is_refused(data: bytes, message: str) -> None:
    refused_by_its_header(data, message)


# Color profiles

Primaries = tuple[tuple[float, ...], ...]
SRGB_PRIMARIES: Primaries = (
    (0.4360, 0.2225, 0.0139),
    (0.3851, 0.7169, 0.0971),
    (0.1431, 0.0606, 0.7141),
)  # XYZ under D50


def _xyz(*values: float) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(value * 65536) for value in values))


def make_profile(gamma: float | None, primaries: Primaries = SRGB_PRIMARIES, space: bytes = b"RGB ") -> bytes:
    """An ICC profile, version 2.4, of a display with a gamma (None: sRGB's) and, unless it is gray, three primaries."""
    levels = np.arange(256) / 255
    linear = np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)
    entries = [round(gamma * 256)] if gamma else np.rint(65535 * linear).astype(int).tolist()
    curve = b"curv\0\0\0\0" + struct.pack(f">I{len(entries)}H", len(entries), *entries)
    tags = {b"wtpt": _xyz(0.9642, 1.0, 0.8249), b"cprt": b"text\0\0\0\0none\0\0\0\0"}
    tags[b"desc"] = b"desc\0\0\0\0" + struct.pack(">I", 2) + b"x\0" + bytes(78)
    if space == b"GRAY":
        tags[b"kTRC"] = curve
    else:
        for letter, primary in zip("rgb", primaries, strict=True):
            tags[f"{letter}XYZ".encode()], tags[f"{letter}TRC".encode()] = _xyz(*primary), curve
    table, body = struct.pack(">I", len(tags)), b""
    for signature, content in tags.items():
        content += bytes(-len(content) % 4)
        table += signature + struct.pack(">II", 132 + 12 * len(tags) + len(body), len(content))
        body += content
    header = struct.pack(">I4xI4s4s4s", 128 + len(table + body), 0x02400000, b"mntr", space, b"XYZ ")
    header += struct.pack(">6H4s", 2026, 1, 1, 0, 0, 0, b"acsp") + bytes(28)
    return header + struct.pack(">3i", 63190, 65536, 54061) + bytes(48) + table + body


def srgb_curve(linear: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


RAMP = np.tile(np.arange(0, 256, 5, dtype=np.uint8), (8, 1))


@pytest.mark.parametrize("format", LOSSLESS)
def test_a_linear_profile_is_taken_to_srgb(format: str) -> None:
    image = Image.fromarray(np.stack([RAMP] * 3, axis=-1))
    decoded = decode_image(encoded(image, format, icc_profile=make_profile(1.0), **LOSSLESS[format]), "x")
    assert np.abs(decoded - 255 * srgb_curve(RAMP / 255)[..., None]).max() <= 1.5


def test_swapped_primaries_swap_the_colors() -> None:
    red, green, blue = SRGB_PRIMARIES
    image = Image.new("RGB", (8, 8), (255, 0, 128))
    decoded = decode_image(encoded(image, "PNG", icc_profile=make_profile(2.2, (green, blue, red))), "x")
    assert np.abs(decoded.astype(int) - [128, 255, 0]).max() <= 3


def test_a_gray_profile_is_taken_to_srgb() -> None:
    profile = make_profile(1.0, space=b"GRAY")
    decoded = decode_image(encoded(Image.fromarray(RAMP), "PNG", icc_profile=profile), "x")
    assert np.abs(decoded - 255 * srgb_curve(RAMP / 255)[..., None]).max() <= 1.5


def test_a_gray_image_may_have_an_rgb_profile() -> None:
    decoded = decode_image(encoded(Image.fromarray(RAMP), "PNG", icc_profile=make_profile(1.0)), "x")
    assert np.abs(decoded - 255 * srgb_curve(RAMP / 255)[..., None]).max() <= 1.5


def test_transparency_and_palettes_go_with_a_profile() -> None:
    alpha = np.where(np.arange(RAMP.shape[1]) < 20, 0, 255).astype(np.uint8)
    image = Image.fromarray(np.dstack([RAMP] * 3 + [np.tile(alpha, (8, 1))]))
    decoded = decode_image(encoded(image, "PNG", icc_profile=make_profile(1.0)), "x")
    assert (decoded[:, :20] == 128).all()
    assert np.abs(decoded - 255 * srgb_curve(RAMP / 255)[..., None])[:, 20:].max() <= 1.5
    palette = image.convert("RGB").quantize(8)
    decoded = decode_image(encoded(palette, "PNG", icc_profile=make_profile(1.0)), "x")
    assert np.abs(decoded - 255 * srgb_curve(np.asarray(palette.convert("RGB")) / 255)).max() <= 1.5


def test_an_srgb_profile_of_whatever_make_changes_nothing() -> None:
    own = make_profile(None, ((0.4365, 0.2225, 0.0139), *SRGB_PRIMARIES[1:]))  # a little other than lcms has them
    transform = ImageCms.buildTransform(
        ImageCms.ImageCmsProfile(BytesIO(own)), ImageCms.createProfile("sRGB"), "RGB", "RGB"
    )
    noise = Image.fromarray(np.random.default_rng(2).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    assert not np.array_equal(np.asarray(transform.apply(noise)), np.asarray(noise))
    for profile in (own, ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()):
        decoded = decode_image(encoded(noise, "PNG", icc_profile=profile), "x")
        assert np.array_equal(decoded, np.asarray(noise))


@pytest.mark.parametrize("profile", [b"no profile at all", make_profile(2.2)[:200]], ids=["nonsense", "truncated"])
def test_a_broken_profile_is_refused(profile: bytes) -> None:
    refused(encoded(Image.fromarray(RGB), "PNG", icc_profile=profile), "color profile .*; save it as sRGB")


def test_a_profile_of_other_colors_is_refused() -> None:
    data = encoded(Image.fromarray(RGB), "PNG", icc_profile=make_profile(2.2, space=b"GRAY"))
    refused_by_its_header(data, "one for GRAY in an image of mode RGB")


# Files that Pillow does not write


def _png(rows: bytes, width: int, height: int, depth: int, color: int, row_bytes: int) -> bytes:
    """A PNG with a header of one's choice; `rows` are the bytes of its rows."""
    lines = b"".join(b"\0" + rows[i : i + row_bytes] for i in range(0, len(rows), row_bytes))
    chunks = {b"IHDR": struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0), b"IDAT": zlib.compress(lines)}
    data = b"\x89PNG\r\n\x1a\n"
    for name, content in [*chunks.items(), (b"IEND", b"")]:
        data += _chunk(name, content)
    return data


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def _with_chunk(png: bytes, name: bytes, content: bytes, before: bytes) -> bytes:
    """A PNG with one more chunk before the first of the kind `before`."""
    at = png.index(before) - 4
    return png[:at] + _chunk(name, content) + png[at:]


def _tiff16(samples: int, photometric: int) -> bytes:
    """An uncompressed TIFF of 8 x 8 pixels with 16 bits a sample."""
    n_bytes, bits_at = 8 * 8 * samples * 2, 8
    entries = [
        (256, 3, 1, 8),
        (257, 3, 1, 8),
        (258, 3, samples, bits_at if samples > 2 else 16),
        (259, 3, 1, 1),
        (262, 3, 1, photometric),
        (273, 4, 1, 16),
        (277, 3, 1, samples),
        (278, 3, 1, 8),
        (279, 4, 1, n_bytes),
    ]
    directory = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *entry) for entry in entries)
    header = struct.pack("<2sHI4H", b"II", 42, 16 + n_bytes, 16, 16, 16, 0)
    return header + bytes(n_bytes) + directory + bytes(4)
