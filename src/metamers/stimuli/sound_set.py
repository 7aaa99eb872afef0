"""A named, ordered set of sounds that are read when they are asked for."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from metamers.errors import MetamersError
from metamers.stimuli.playing import LOUDEST_RMS, ramped, turned_down
from metamers.stimuli.sounds import FULL_SCALE, Samples, Sound, cut_or_pad, quantize_sound, resample, set_rms
from metamers.stimuli.stimulus_set import Index, StimulusSet

if TYPE_CHECKING:
    import torch


class SoundSet(StimulusSet):
    """Sounds in a fixed order, each with an id, a label where there is one, and its samples.

    `source(i)` gives sound `i` as it is, one channel of floats in [-1, 1] and its rate: a pure function that several
    threads may call. When it is read, it is brought to `sample_rate` and to `n_samples`, of which its middle is kept
    (None: its own), to the level `rms` (None: its own; at most 0.25), and rounded to 16 bits. `played` says that they
    are already as `as_played` would give them.

    Attributes as of `StimulusSet`; `kind` is "sound", `value_range` (-1, 1), `size` (1, samples) or None, `channels` 1.

    >>> tone = Sound(np.full(8, 0.25, np.float32), 8)
    >>> SoundSet(name="tones", ids=["a"], source=lambda i: tone, sample_rate=8).fit((1, 4)).signals
    tensor([[0.2500, 0.2500, 0.2500, 0.2500]])
    """

    kind = "sound"
    value_range = (-1.0, 1.0)

    def __init__(
        self,
        *,
        name: str,
        ids: Sequence[str],
        source: Callable[[int], Sound],
        sample_rate: int,
        n_samples: int | None = None,
        rms: float | None = None,
        played: bool = False,
        labels: Sequence[str | None] | None = None,
        classes: Sequence[str] = (),
    ) -> None:
        if sample_rate < 1 or (n_samples is not None and n_samples < 1):
            raise MetamersError(f"'{name}': {n_samples} samples at {sample_rate} Hz; give at least 1 of each")
        _require_level(name, rms)
        super().__init__(
            name=name,
            ids=ids,
            source=source,
            labels=labels,
            classes=classes,
            native_size=None if n_samples is None else (1, n_samples),
            channels=1,
        )
        self.sample_rate: int = sample_rate
        self.rms = rms
        self._fitted = n_samples is not None
        self._played, self._to_play = played, False

    @classmethod
    def from_waveforms(
        cls,
        waveforms: "torch.Tensor | NDArray[Any]",
        sample_rate: int,
        labels: Sequence[str | None] | None = None,
        *,
        ids: Sequence[str] | None = None,
        classes: Sequence[str] = (),
        name: str = "sounds",
    ) -> Self:
        """A set of waveforms, floats [N, T] in [-1, 1]. They are rounded to 16 bits.

        Raises MetamersError for another shape, for none, and for values that are not finite or outside [-1, 1].
        """
        if waveforms.ndim != 2 or not len(waveforms):
            raise MetamersError(f"'{name}': shape {list(waveforms.shape)}; give [sounds, samples]")
        ids = [f"{i:05d}" for i in range(len(waveforms))] if ids is None else ids
        if len(ids) != len(waveforms):
            raise MetamersError(f"'{name}': {len(ids)} ids for {len(waveforms)} sounds; give one for each")
        sounds = []
        for i, waveform in enumerate(waveforms):
            try:
                sounds.append(quantize_sound(waveform).astype(np.float32) / np.float32(FULL_SCALE))
            except MetamersError as error:
                raise MetamersError(f"'{name}', sound {i}: {error}") from None
        return cls(
            name=name,
            ids=ids,
            source=lambda i: Sound(sounds[i], sample_rate),
            sample_rate=sample_rate,
            n_samples=len(sounds[0]),
            labels=labels,
            classes=classes,
        )

    def fit(self, size: tuple[int, int], channels: int = 1, sample_rate: int | None = None) -> Self:
        """The same sounds at `sample_rate` (None: as they are), their middle `size` (1, samples) kept, when read.

        Shorter sounds are padded with silence on both sides.
        """
        fitted = super().fit(size, channels)
        if size[0] != 1 or channels != 1:
            raise MetamersError(f"'{self.name}': sounds have one channel; fit them to (1, samples)")
        fitted.sample_rate = sample_rate or self.sample_rate
        return fitted

    def brought_to(self, rate: int | None, seconds: float | None, rms: float | None) -> Self:
        """The same sounds of another rate, length and level when read; None for those of the set."""
        _require_level(self.name, rms)
        rate = rate or self.sample_rate
        length = None if self.size is None else round(self.size[1] * rate / self.sample_rate)
        length = length if seconds is None else round(seconds * rate)
        brought = self._anew() if length is None else self.fit((1, length))
        brought.sample_rate, brought.rms = rate, self.rms if rms is None else rms
        return brought

    def as_played(self) -> Self:
        """The same sounds with ramps of 10 ms, turned down to an RMS of 0.25 where they are louder."""
        if self._played:
            return self
        played = self._anew()
        played._played = played._to_play = True
        return played

    def pixels(self, i: int) -> Any:
        """The samples of sound `i` as they would be written, read-only: int16 [samples]."""
        row = self._rows[i]
        cached = self._cache.pixels(row)
        if cached is not None:
            return cached
        sound: Sound = self._source(row)
        where = f"'{self.ids[i]}' of '{self.name}'"
        waveform = resample(sound.waveform, sound.rate, self.sample_rate)
        if self._fitted and self.size is not None:
            if self._to_play and len(waveform) < self.size[1]:
                waveform = ramped(waveform, self.sample_rate)  # before the silence
            waveform = cut_or_pad(waveform, self.size[1])
        if self.rms is not None:
            waveform = set_rms(waveform, self.rms, where)
        if self._to_play:
            waveform = turned_down(ramped(waveform, self.sample_rate))
        samples = quantize_sound(np.clip(waveform, -1, 1))
        samples.flags.writeable = False
        self._cache.keep(row, samples)
        return samples

    def read(self, indices: Index | None = None) -> "torch.Tensor":
        """The waveforms of all sounds, or of those at `indices`: float32 [N, samples] in [-1, 1), samples / 32,768.

        Raises MetamersError where lengths differ or a sound cannot be read.
        """
        import torch

        chosen = range(len(self)) if indices is None else self._chosen(indices)
        sounds: list[Samples] = [self.pixels(i) for i in chosen]
        if not sounds:
            return torch.empty((0, (self.size or (1, 0))[1]))
        for i, sound in zip(chosen, sounds, strict=True):
            if len(sound) != len(sounds[0]):
                raise MetamersError(
                    f"'{self.name}': '{self.ids[chosen[0]]}' has {len(sounds[0])} samples and '{self.ids[i]}' "
                    f"{len(sound)}; bring them to one length with .fit((1, samples)) or --seconds"
                )
        return torch.from_numpy(np.stack(sounds).astype(np.float32)).div_(FULL_SCALE)


def _require_level(name: str, rms: float | None) -> None:
    if rms is not None and not 0 < rms <= LOUDEST_RMS:
        raise MetamersError(f"'{name}': an RMS of {rms:g}; give one above 0 and at most {LOUDEST_RMS:g}")
