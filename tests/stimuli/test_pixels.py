from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from metamers.errors import MetamersError
from metamers.stimuli import encode_png, quantize, read_image, write_png
from metamers.stimuli.pixels import Pixels, fit_pixels

shapes = st.tuples(st.sampled_from([1, 3]), st.integers(1, 12), st.integers(1, 12))
signals = hnp.arrays(np.float32, shapes, elements=st.floats(0, 1, width=32))


def noise(height: int, width: int, channels: int = 3, seed: int = 0) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)


@settings(deadline=None, max_examples=60)
@given(signals)
def test_a_written_png_reads_back_as_the_nearest_pixels(signal: Any) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder, "x.png")
        write_png(path, signal)
        pixels = read_image(path)
    assert pixels.dtype == np.uint8
    assert np.array_equal(pixels, quantize(torch.from_numpy(signal)))
    assert np.abs(pixels.transpose(2, 0, 1) / 255 - signal).max() <= 0.5 / 255 + 1e-7


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_every_level_survives_signal_and_png(dtype: Any, tmp_path: Path) -> None:
    levels = torch.arange(256, dtype=torch.uint8).reshape(1, 16, 16)
    write_png(tmp_path / "x.png", levels.to(dtype) / 255)
    assert np.array_equal(read_image(tmp_path / "x.png")[..., 0], levels[0].numpy())


def test_rounding_is_that_of_torch() -> None:
    signal = torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(0))
    expected = (signal * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    assert np.array_equal(quantize(signal), expected)


def test_halves_round_to_even() -> None:
    halves = np.array([[[0.5, 1.5, 2.5, 253.5]]]) / 255
    assert quantize(halves).ravel().tolist() == [0, 2, 2, 254]


def test_half_precision_is_accepted() -> None:
    assert quantize(torch.full((1, 2, 2), 0.5, dtype=torch.bfloat16)).tolist() == [[[128], [128]], [[128], [128]]]


def test_pixels_are_written_as_they_are() -> None:
    pixels = noise(5, 7)
    assert np.array_equal(np.asarray(Image.open(BytesIO(encode_png(pixels)))), pixels)


def test_gray_stays_gray(tmp_path: Path) -> None:
    pixels = noise(5, 7, channels=1)
    write_png(tmp_path / "x.png", pixels)
    assert np.array_equal(read_image(tmp_path / "x.png"), pixels)


def test_the_same_signal_gives_the_same_file() -> None:
    assert encode_png(noise(9, 9)) == encode_png(noise(9, 9).copy())


@pytest.mark.parametrize(
    ("signal", "message"),
    [
        (np.full((3, 8, 8), np.nan), "NaN"),
        (np.full((3, 8, 8), np.inf), "infinite"),
        (np.full((3, 8, 8), 1.001), "clamp"),
        (np.full((3, 8, 8), -1e-6), "clamp"),
        (np.zeros((3, 8, 8), np.int64), "int64"),
        (np.zeros((2, 8, 8)), r"\[2, 8, 8\]"),
        (np.zeros((1, 3, 8, 8)), r"\[1, 3, 8, 8\]"),
        (np.zeros((3, 0, 8)), r"\[3, 0, 8\]"),
        (np.zeros((3, 8, 8), np.uint8), r"\[height, width, channels\]"),
    ],
)
def test_what_is_no_image_is_refused_before_a_file_is_opened(signal: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(MetamersError, match=message):
        write_png(tmp_path / "x.png", signal)
    assert not (tmp_path / "x.png").exists()


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(MetamersError, match=r"nowhere/x\.png"):
        write_png(tmp_path / "nowhere" / "x.png", noise(8, 8))


def test_an_image_of_the_size_keeps_its_pixels() -> None:
    pixels = noise(13, 17)
    assert np.array_equal(fit_pixels(pixels, (13, 17), 3), pixels)


@settings(deadline=None, max_examples=60)
@given(st.tuples(*[st.integers(8, 60)] * 2), st.tuples(*[st.integers(1, 60)] * 2), *[st.sampled_from([1, 3])] * 2)
def test_fitted_images_have_the_size_and_channels(
    given_size: tuple[int, int], size: tuple[int, int], given_channels: int, channels: int
) -> None:
    fitted = fit_pixels(noise(*given_size, given_channels), size, channels)
    assert fitted.shape == (*size, channels)
    assert fitted.dtype == np.uint8


def test_the_shorter_side_is_scaled_and_the_center_cropped() -> None:
    # Thirds of red, green and blue; the square in the middle is the green third.
    pixels = np.zeros((20, 60, 3), np.uint8)
    for third in range(3):
        pixels[:, 20 * third : 20 * third + 20, third] = 255
    fitted = fit_pixels(pixels, (40, 40), 3)
    assert np.array_equal(fitted[:, 8:-8], np.broadcast_to([0, 255, 0], (40, 24, 3)).astype(np.uint8))
    assert np.array_equal(fit_pixels(pixels.transpose(1, 0, 2), (40, 40), 3), fitted.transpose(1, 0, 2))


def test_a_target_that_is_no_square_is_covered() -> None:
    pixels = np.zeros((30, 30, 3), np.uint8)
    pixels[10:20] = 200  # the middle third, which is what a target three times as wide as high shows
    fitted = fit_pixels(pixels, (20, 60), 3)
    assert (fitted[4:-4] == 200).all()


def test_scaling_down_is_antialiased() -> None:
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    fitted = fit_pixels(stripes, (16, 16), 3)
    assert np.abs(fitted.astype(int) - 128).max() < 12


def test_gray_is_luminance_and_repeats() -> None:
    colors = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [90, 90, 90]]], np.uint8)
    gray = fit_pixels(colors, (1, 4), 1)
    assert gray.ravel().tolist() == [76, 150, 29, 90]
    assert np.array_equal(fit_pixels(gray, (1, 4), 3), gray.repeat(3, axis=2))


def test_an_image_too_elongated_to_cover_is_refused() -> None:
    with pytest.raises(MetamersError, match="60000 x 8 pixels is too elongated"):
        fit_pixels(np.zeros((8, 60000, 3), np.uint8), (224, 224), 3)


@pytest.mark.parametrize("mode", ["RGBA", "P", "1"])
def test_read_image_refuses_what_this_package_does_not_write(mode: str, tmp_path: Path) -> None:
    Image.new(mode, (8, 8)).save(tmp_path / "x.png")
    with pytest.raises(MetamersError, match=rf"x\.png' is a PNG image in mode {mode}"):
        read_image(tmp_path / "x.png")


def test_read_image_names_a_missing_and_a_truncated_file(tmp_path: Path) -> None:
    with pytest.raises(MetamersError, match=r"x\.png' cannot be read"):
        read_image(tmp_path / "x.png")
    (tmp_path / "x.png").write_bytes(encode_png(noise(32, 32))[:500])
    with pytest.raises(MetamersError, match=r"x\.png' is truncated"):
        read_image(tmp_path / "x.png")
