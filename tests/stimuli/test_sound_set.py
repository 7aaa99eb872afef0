"""Sets of sounds: from files, fitted, and handed on."""

import zipfile

import numpy as np
import pytest
import soundfile
import torch

from metamers.errors import MetamersError
from metamers.stimuli import SoundSet, load_stimuli
from metamers.stimuli.written import as_written, encode, read_signals, written_set

RATE = 8000


def tone(n=800, hertz=440.0, level=0.25):
    return level * np.sin(2 * np.pi * hertz * np.arange(n) / RATE)


@pytest.fixture
def folder(tmp_path):
    for word, n in (("cat", 800), ("dog", 1000)):
        (tmp_path / "words" / word).mkdir(parents=True)
        soundfile.write(tmp_path / "words" / word / "1.wav", tone(n), RATE)
    return tmp_path / "words"


def test_a_folder_of_sounds(folder):
    sounds = load_stimuli(folder)
    assert (sounds.kind, sounds.ids, sounds.labels) == ("sound", ("cat/1.wav", "dog/1.wav"), ("cat", "dog"))
    assert (sounds.sample_rate, sounds.size, sounds.value_range, sounds.channels) == (RATE, None, (-1.0, 1.0), 1)
    assert sounds[0].read().shape == (1, 800)
    with pytest.raises(MetamersError, match="--seconds"):
        sounds.read()
    cut = load_stimuli(folder, seconds=0.05)
    assert cut.size == (1, 400)
    assert torch.equal(cut.read([0])[0], sounds[0].read()[0, 200:600])


def test_a_zip_archive_is_read_in_place(folder, tmp_path):
    with zipfile.ZipFile(tmp_path / "words.zip", "w") as archive:
        for path in sorted(folder.rglob("*.wav")):
            archive.write(path, path.relative_to(folder))
    assert load_stimuli(tmp_path / "words.zip", seconds=0.1).set_hash() == load_stimuli(folder, seconds=0.1).set_hash()


def test_rates_that_differ_must_be_named(folder):
    soundfile.write(folder / "cat" / "2.wav", tone(), 2 * RATE)
    with pytest.raises(MetamersError, match="--rate"):
        load_stimuli(folder)
    sounds = load_stimuli(folder, rate=RATE, seconds=0.1)
    assert sounds.read().shape == (3, 800)
    assert sounds.sample_rate == RATE


def test_the_level_is_set(folder):
    levels = load_stimuli(folder, seconds=0.1, rms=0.1).read().square().mean(1).sqrt()
    assert levels.tolist() == pytest.approx([0.1, 0.1], rel=1e-3)


def test_all_broken_files_are_named(folder):
    (folder / "cat" / "0.wav").write_bytes(b"")
    (folder / "dog" / "0.wav").write_bytes(b"RIFF")
    with pytest.raises(MetamersError, match=r"0\.wav' is empty.*also unreadable: .*dog/0\.wav"):
        load_stimuli(folder)


def test_a_folder_with_both_kinds_gives_its_images_unless_sounds_are_asked_for(folder):
    from metamers.stimuli import write_png

    write_png(folder / "cat" / "cover.png", np.zeros((3, 8, 8), np.float32))
    assert load_stimuli(folder).ids == ("cat/cover.png",)
    assert load_stimuli(folder, rate=RATE).kind == "sound"


def test_images_have_no_rate():
    with pytest.raises(MetamersError, match="leave these out"):
        load_stimuli("bundled:pictograms?n=2", rate=8000)


def test_bundled_sounds_are_brought_to_what_is_asked():
    sounds = load_stimuli("bundled:spoken_clips?n=2", rate=8000, seconds=0.5, rms=0.1)
    assert (sounds.sample_rate, sounds.read().shape) == (8000, (2, 4000))
    assert sounds.read().square().mean(1).sqrt().tolist() == pytest.approx([0.1, 0.1], rel=1e-3)
    assert load_stimuli("bundled:spoken_clips?n=2", rate=8000).read().shape == (2, 8000)
    same = load_stimuli("bundled:spoken_clips?n=2", rate=16_000, seconds=1.0)
    assert same.set_hash() == load_stimuli("bundled:spoken_clips?n=2").set_hash()


@pytest.mark.parametrize("options", [{"rate": 0}, {"seconds": 0.0}, {"seconds": 1e6}, {"rms": 0.0}, {"rms": 2.0}])
def test_options_out_of_range(folder, options):
    with pytest.raises(MetamersError):
        load_stimuli(folder, **options)


def test_fitting_resamples_and_cuts():
    sounds = SoundSet.from_waveforms(np.stack([tone(), tone(hertz=300)]), RATE, ["a", "b"])
    fitted = sounds.fit((1, 1000), 1, 2 * RATE)
    assert (fitted.size, fitted.sample_rate) == ((1, 1000), 2 * RATE)
    assert fitted.read().shape == (2, 1000)
    assert fitted.fit((1, 800), 1, RATE).set_hash() == sounds.set_hash()  # from the source, not from what was fitted
    assert sounds.fit((1, 800)).set_hash() == sounds.set_hash()
    assert fitted[1].labels == ("b",)
    with pytest.raises(MetamersError, match="one channel"):
        sounds.fit((2, 10))


def test_written_sounds_are_read_back_as_they_were_rounded(tmp_path):
    signals = torch.tensor(np.stack([tone(), -2 * tone()]), dtype=torch.float32)
    paths = [tmp_path / f"{i}.wav" for i in range(2)]
    for path, signal in zip(paths, signals, strict=True):
        path.write_bytes(encode(signal, "sound", RATE))
    rounded = as_written(signals, "sound")
    assert torch.equal(read_signals(paths), rounded)
    assert (rounded - signals).abs().max() <= 0.5 / 32768
    again = written_set("again", ["a", "b"], paths)
    assert (again.kind, again.sample_rate) == ("sound", RATE)
    assert torch.equal(again.read(), rounded)
    assert as_written(torch.tensor([[1.0, -1.0]]), "sound").tolist() == [[32767 / 32768, -1.0]]


@pytest.mark.parametrize("bad", [np.zeros(3), np.zeros((0, 3)), np.full((1, 3), 2.0)])
def test_what_is_no_set_of_waveforms(bad):
    with pytest.raises(MetamersError):
        SoundSet.from_waveforms(bad, RATE)
