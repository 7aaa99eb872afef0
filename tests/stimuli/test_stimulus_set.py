import hashlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from metamers.errors import MetamersError
from metamers.stimuli import StimulusSet, quantize, stimulus_set
from metamers.stimuli.pixels import Pixels

N = 7
PIXELS = np.random.default_rng(0).integers(0, 256, (N, 10, 12, 3), dtype=np.uint8)
LABELS = ("bear", "cat", None, "cat", "bear", None, "cup")


def make_set(**options: Any) -> StimulusSet:
    return StimulusSet.from_arrays(PIXELS, LABELS, **options)


def counting_set() -> tuple[StimulusSet, list[int]]:
    calls = []

    def source(i: int) -> Pixels:
        calls.append(i)
        return np.asarray(PIXELS[i])

    return StimulusSet(name="counted", ids=[str(i) for i in range(N)], source=source, native_size=(10, 12)), calls


def test_what_a_set_states() -> None:
    stimuli = make_set(classes=("bear", "cat", "cup"), name="seven")
    assert (len(stimuli), stimuli.name, stimuli.kind, stimuli.value_range) == (N, "seven", "image", (0.0, 1.0))
    assert (stimuli.size, stimuli.channels, stimuli.sample_rate) == ((10, 12), 3, None)
    assert stimuli.ids == tuple(f"0000{i}" for i in range(N))
    assert stimuli.labels == LABELS
    assert stimuli.classes == ("bear", "cat", "cup")
    assert "'seven': 7 images, 10 x 12, 3 channels" in repr(stimuli)


def test_signals_are_the_pixels_over_255() -> None:
    signals = make_set().signals
    assert signals.dtype == torch.float32
    assert signals.is_contiguous()
    assert torch.equal(signals, torch.from_numpy(PIXELS).permute(0, 3, 1, 2).float() / 255)


@settings(deadline=None)
@given(st.slices(N))
def test_a_slice_is_that_of_a_tuple(chosen: slice) -> None:
    part = make_set()[chosen]
    assert part.ids == make_set().ids[chosen]
    assert part.labels == tuple(LABELS[i] for i in range(N)[chosen])
    assert torch.equal(part.signals, make_set().signals[list(range(N))[chosen]])


@settings(deadline=None)
@given(st.lists(st.integers(0, N - 1), unique=True), st.data())
def test_indices_choose_in_their_order_and_parts_of_parts_agree(indices: list[int], data: st.DataObject) -> None:
    part = make_set()[indices]
    assert part.ids == tuple(make_set().ids[i] for i in indices)
    assert [part.hash(k) for k in range(len(part))] == [make_set().hash(i) for i in indices]
    again = data.draw(st.lists(st.integers(0, len(indices) - 1), unique=True)) if indices else []
    assert part[again].ids == make_set()[[indices[k] for k in again]].ids


@pytest.mark.parametrize("index", [2, -5, np.int64(2), torch.tensor(2)])
def test_one_index_gives_a_set_of_one(index: Any) -> None:
    one = make_set()[index]
    assert (one.ids, one.labels) == (("00002",), (None,))
    assert np.array_equal(one.pixels(0), PIXELS[2])


def test_arrays_of_indices_choose() -> None:
    assert make_set()[np.array([3, 1])].ids == ("00003", "00001")
    assert make_set().read([3, 1]).shape == (2, 3, 10, 12)


def test_iteration_gives_sets_of_one() -> None:
    assert [one.ids[0] for one in make_set()] == list(make_set().ids)


@pytest.mark.parametrize(
    ("index", "error", "message"),
    [
        (N, IndexError, "out of range"),
        ([0, -N - 1], IndexError, "out of range"),
        ([True, False], TypeError, "mask"),
        ([np.True_], TypeError, "mask"),
        (np.arange(N) > 3, TypeError, "mask"),
        (torch.arange(N) > 3, TypeError, "mask"),
        (1.5, TypeError, "float"),
        ("bear", TypeError, "str"),
        ([1, 1 - N], MetamersError, "twice"),
    ],
)
def test_indices_that_do_not_fit_are_refused(index: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make_set()[index]


def test_a_fit_is_lazy_and_replaced_by_the_next() -> None:
    stimuli, calls = counting_set()
    fitted = stimuli.fit((8, 8)).fit((20, 24), channels=1)
    assert calls == []
    assert (fitted.size, fitted.channels, stimuli.size, stimuli.channels) == ((20, 24), 1, (10, 12), 3)
    assert fitted.signals.shape == (N, 1, 20, 24)
    assert np.array_equal(fitted.fit((10, 12)).pixels(0), PIXELS[0])


def test_a_fit_to_no_pixels_or_channels_is_refused() -> None:
    with pytest.raises(MetamersError, match="0 x 5"):
        make_set().fit((0, 5))
    with pytest.raises(MetamersError, match="2 channels"):
        make_set().fit((5, 5), channels=2)


def test_the_source_is_asked_once_while_the_cache_holds() -> None:
    stimuli, calls = counting_set()
    stimuli.check()
    stimuli.read()
    stimuli[2:].set_hash()
    assert calls == list(range(N))


def test_the_cache_is_bounded_and_hashes_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stimulus_set, "CACHE_BYTES", 2 * PIXELS[0].nbytes)
    stimuli, calls = counting_set()
    stimuli.check()
    stimuli.read([N - 2, N - 1])
    assert len(calls) == N
    stimuli.read([0])
    assert len(calls) == N + 1
    stimuli.set_hash()
    assert len(calls) == N + 1


def test_pixels_cannot_be_changed_by_their_reader() -> None:
    stimuli = make_set()
    with pytest.raises(ValueError, match="read-only"):
        stimuli.pixels(0)[0, 0, 0] = 1
    stimuli.signals.zero_()
    assert np.array_equal(stimuli.pixels(0), PIXELS[0])


def test_threads_read_what_one_reads() -> None:
    fitted = make_set().fit((9, 9))
    with ThreadPoolExecutor(8) as pool:
        hashes = list(pool.map(fitted.hash, list(range(N)) * 20))
    assert hashes == [make_set().fit((9, 9)).hash(i) for i in range(N)] * 20


def test_a_hash_is_that_of_shape_and_pixels() -> None:
    stimuli = make_set()
    assert stimuli.hash(3) == hashlib.sha256(b"10x12x3:" + PIXELS[3].tobytes()).hexdigest()
    assert stimuli.hash(3) == make_set(name="another", ids=list("abcdefg")).hash(3)
    assert stimuli.hash(3) != stimuli.fit((10, 11)).hash(3)
    turned = StimulusSet.from_arrays(PIXELS.reshape(N, 12, 10, 3))
    assert turned.hash(3) != stimuli.hash(3)


def test_the_set_hash_depends_on_pixels_and_order_alone() -> None:
    stimuli = make_set()
    assert stimuli.set_hash() == make_set(name="another").set_hash()
    assert stimuli[::-1].set_hash() != stimuli.set_hash()
    assert stimuli[::-1][::-1].set_hash() == stimuli.set_hash()


def test_other_labels() -> None:
    relabeled = make_set(classes=("bear", "cat", "cup")).with_labels(["animal"] * N)
    assert relabeled.labels == ("animal",) * N
    assert relabeled.classes == ()
    with pytest.raises(MetamersError, match="2 labels for 7"):
        make_set().with_labels(["a", "b"])


def test_different_sizes_need_a_fit() -> None:
    stimuli = StimulusSet.from_arrays([PIXELS[0], PIXELS[1][:9]], ids=["a.png", "b.png"], name="two")
    assert stimuli.size is None
    with pytest.raises(MetamersError, match=r"'a.png' has 10 x 12 pixels and 'b.png' 9 x 12; .*\.fit"):
        _ = stimuli.signals
    assert stimuli.fit((8, 8)).signals.shape == (2, 3, 8, 8)


def test_nothing_can_be_read() -> None:
    assert make_set()[:0].signals.shape == (0, 3, 10, 12)
    assert len(make_set()[[]]) == 0


def test_a_tensor_is_rounded_to_8_bits() -> None:
    signals = torch.rand(4, 1, 9, 9, generator=torch.Generator().manual_seed(1))
    stimuli = StimulusSet.from_tensor(signals, ["a", "b", "c", "d"])
    assert (stimuli.channels, stimuli.size, stimuli.labels) == (1, (9, 9), ("a", "b", "c", "d"))
    assert np.array_equal(stimuli.pixels(2), quantize(signals[2]))
    assert torch.equal(StimulusSet.from_tensor(stimuli.signals).signals, stimuli.signals)
    assert torch.equal(StimulusSet.from_tensor(signals.numpy()).signals, stimuli.signals)


@pytest.mark.parametrize(
    ("signals", "message"),
    [
        (torch.full((2, 3, 8, 8), float("nan")), "image 0: .*NaN"),
        (torch.full((2, 3, 8, 8), 2.0), "clamp"),
        (torch.zeros(3, 8, 8), r"shape \[3, 8, 8\]"),
        (torch.zeros(2, 8, 8, 3), r"\[8, 8, 3\]"),
        (torch.zeros(2, 3, 8, 8, dtype=torch.uint8), "uint8"),
        (torch.zeros(0, 3, 8, 8), "no image"),
    ],
)
def test_tensors_that_are_no_images_are_refused(signals: Any, message: str) -> None:
    with pytest.raises(MetamersError, match=message):
        StimulusSet.from_tensor(signals)


@pytest.mark.parametrize(
    ("pixels", "options", "message"),
    [
        ([PIXELS[0], PIXELS[1][..., :1]], {}, "'00001' has 1 channel and '00000' has 3"),
        (PIXELS.astype(np.float32), {}, "float32"),
        (PIXELS[0], {}, r"\[10, 12, 3\]"),
        (PIXELS.transpose(0, 3, 1, 2), {}, r"\[3, 10, 12\]"),
        ([PIXELS[0].tolist()], {}, "holds list"),
        ([], {}, "no image"),
        (PIXELS, {"ids": ["a"]}, "1 ids for 7"),
        (PIXELS, {"ids": list("abcdefa")}, "'a' is in the set more than once"),
        (PIXELS, {"labels": ["a"]}, "1 labels for 7"),
    ],
)
def test_arrays_that_are_no_images_are_refused(pixels: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(MetamersError, match=message):
        StimulusSet.from_arrays(pixels, **options)


def test_a_source_that_breaks_its_word_is_named() -> None:
    stimuli = StimulusSet(name="odd", ids=["x"], source=lambda i: np.zeros((8, 8), np.uint8))
    with pytest.raises(MetamersError, match=r"'x' of 'odd': its source gave uint8 \[8, 8\]"):
        stimuli.check()
