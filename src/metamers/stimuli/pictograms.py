"""Pictograms: 16 everyday objects in random pose, texture, color and light, for use without a download."""

from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from metamers.errors import MetamersError
from metamers.stimuli.stimulus_set import StimulusSet

# Characters of DejaVu Sans, which ships with matplotlib.
GLYPHS = {
    "airplane": "\u2708",
    "anchor": "\u2693",
    "cat": "\U0001f431",
    "cloud": "\u2601",
    "cup": "\u2615",
    "flower": "\u273f",
    "heart": "\u2665",
    "knight": "\u265e",
    "music": "\u266b",
    "scissors": "\u2702",
    "skull": "\u2620",
    "snowman": "\u2603",
    "star": "\u2605",
    "sun": "\u2600",
    "telephone": "\u260e",
    "umbrella": "\u2602",
}
NAMES = tuple(GLYPHS)
SPLITS = ("train", "test")

_MASK = 128  # side of the stored glyph, in pixels
_OVERSAMPLING = 2

Floats = NDArray[np.float32]


def pictograms(split: str = "test", n: int = 512, seed: int = 0, size: int = 64) -> StimulusSet:
    """A set of generated pictograms, image `i` showing the object `NAMES[i % 16]`.

    Each image, uint8 [size, size, 3], is a pure function of (split, seed, i) and is drawn when it is read: a longer
    set begins with the shorter one, and the splits share no image.

    Raises MetamersError for an unknown split, a negative seed, or a set or image size out of range.

    >>> pictograms(n=18).labels[15:]
    ('umbrella', 'airplane', 'anchor')
    """
    if split not in SPLITS:
        raise MetamersError(f"pictograms: no split {split!r}; choose one of {', '.join(SPLITS)}")
    if n < 1:
        raise MetamersError(f"pictograms: n={n} must be at least 1")
    if seed < 0:
        raise MetamersError(f"pictograms: seed={seed} must not be negative")
    if not 16 <= size <= 512:
        raise MetamersError(f"pictograms: size={size} must lie between 16 and 512")
    return StimulusSet(
        name=f"bundled:pictograms?split={split}&n={n}&seed={seed}" + (f"&size={size}" if size != 64 else ""),
        ids=[f"{split}{seed}-{i:05d}" for i in range(n)],
        labels=[NAMES[i % len(NAMES)] for i in range(n)],
        classes=NAMES,
        source=lambda i: draw(split, seed, i, size),
        native_size=(size, size),
    )


def draw(split: str, seed: int, index: int, size: int = 64) -> NDArray[np.uint8]:
    """One pictogram, uint8 [size, size, 3]: a textured, lit object that casts a shadow on a textured ground, in haze.

    Without the haze, objects differ so much from their ground that small adversarial perturbations change no decision.
    """
    rng = np.random.default_rng([SPLITS.index(split), seed, index, 0x9C7])
    mask = _pose(_glyph(NAMES[index % len(NAMES)]), rng, size)
    ground_color, object_color = _colors(rng)
    ground = _texture(ground_color, rng, size)
    body = _texture(object_color, rng, size)

    angle = rng.uniform(0, 2 * np.pi)
    light = np.array([np.sin(angle), np.cos(angle)])
    shade = _relief(mask, light, size) * rng.uniform(0.15, 0.45)
    shadow = _shift(_blur(mask, 0.02 * size), -light * 0.05 * size) * rng.uniform(0.0, 0.45)

    ground = ground * (1 - (shadow * (1 - mask))[..., None])
    body = body * (1 + shade[..., None])
    image = ground + (body - ground) * mask[..., None]
    image += rng.normal(0.0, rng.uniform(0.0, 0.03), image.shape)
    haze = rng.uniform(0.4, 0.6)
    image = haze + (image - haze) * rng.uniform(0.35, 0.5)
    pixels: NDArray[np.uint8] = np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)
    return pixels


@cache
def _glyph(name: str) -> Image.Image:
    """The object's silhouette, its longer side filling three quarters of a square gray image."""
    import matplotlib

    font_file = Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")
    font = ImageFont.truetype(str(font_file), 200)
    canvas = Image.new("L", (400, 400))
    ImageDraw.Draw(canvas).text((200, 200), GLYPHS[name], fill=255, font=font, anchor="mm")
    glyph = canvas.crop(canvas.getbbox())
    scale = 0.75 * _MASK / max(glyph.size)
    glyph = glyph.resize((round(glyph.width * scale), round(glyph.height * scale)), Image.Resampling.LANCZOS)
    square = Image.new("L", (_MASK, _MASK))
    square.paste(glyph, ((_MASK - glyph.width) // 2, (_MASK - glyph.height) // 2))
    return square


def _pose(glyph: Image.Image, rng: np.random.Generator, size: int) -> Floats:
    """The glyph rotated, sheared, scaled and placed at random: float32 [size, size] in [0, 1]."""
    turn, shear = np.deg2rad(rng.uniform(-25, 25)), rng.uniform(-0.2, 0.2)
    extent = rng.uniform(0.6, 0.85)  # of the image's side that the glyph's longer side takes
    slack = max(0.0, (1 - extent) / 2)
    place = rng.uniform(-slack, slack, 2)
    fine = size * _OVERSAMPLING
    # Image.transform maps output pixels to input pixels: the inverse of rotate-shear-scale.
    forward = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) @ np.array([[1, shear], [0, 1]])
    inverse = np.linalg.inv(forward * (extent / 0.75 * fine / _MASK))
    offset = _MASK / 2 - inverse @ (fine * (0.5 + place))
    coefficients = (*inverse[0], offset[0], *inverse[1], offset[1])
    posed = glyph.transform((fine, fine), Image.Transform.AFFINE, coefficients, Image.Resampling.BILINEAR)
    mask: Floats = np.asarray(posed.reduce(_OVERSAMPLING), dtype=np.float32) / np.float32(255)
    return mask


def _colors(rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Colors [2, 3] of the ground's and of the object's texture, apart in luminance; either may be the lighter."""
    dark, light = rng.uniform(0.05, 0.35), rng.uniform(0.62, 0.92)
    pairs = []
    for level in (dark, light):
        hue = rng.uniform(0.0, 1.0, (2, 3)) * rng.uniform(0.3, 1.0)
        luminance = hue @ np.array([0.299, 0.587, 0.114])
        pairs.append(np.clip(hue + (level - luminance)[:, None], 0, 1))
    ground_is_dark = rng.random() < 0.5
    return (pairs[0], pairs[1]) if ground_is_dark else (pairs[1], pairs[0])


def _texture(colors: NDArray[np.float64], rng: np.random.Generator, size: int) -> Floats:
    """A mixture of two colors after a random field with amplitude 1/f^a: float32 [size, size, 3]."""
    fy, fx = np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None]
    frequency = np.maximum(np.hypot(fy, fx), 1 / size)
    amplitude = frequency ** -rng.uniform(0.8, 1.8)
    amplitude[0, 0] = 0
    noise = rng.normal(size=(2, *frequency.shape))
    field = np.fft.irfft2((noise[0] + 1j * noise[1]) * amplitude, s=(size, size))
    weight = np.clip(0.5 + 0.25 * field / field.std(), 0, 1)[..., None]
    texture: Floats = (colors[0] * weight + colors[1] * (1 - weight)).astype(np.float32)
    return texture


def _relief(mask: Floats, light: NDArray[np.float64], size: int) -> Floats:
    """Shading in [-1, 1] of the mask seen as a low relief lit from the side."""
    dy, dx = np.gradient(_blur(mask, 0.03 * size))
    slope = dy * light[0] + dx * light[1]
    relief: Floats = (-slope / max(float(np.abs(slope).max()), 1e-6)).astype(np.float32)
    return relief


def _blur(mask: Floats, sigma: float) -> Floats:
    from scipy.ndimage import gaussian_filter

    return np.asarray(gaussian_filter(mask, sigma), dtype=np.float32)


def _shift(mask: Floats, by: NDArray[np.float64]) -> Floats:
    from scipy.ndimage import shift

    return np.asarray(shift(mask, by, order=1), dtype=np.float32)
