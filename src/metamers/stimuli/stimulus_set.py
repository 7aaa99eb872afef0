"""A named, ordered set of stimuli that are read when they are asked for."""

import hashlib
import operator
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from metamers.errors import MetamersError
from metamers.stimuli.pixels import Pixels, fit_pixels, quantize

if TYPE_CHECKING:
    import torch

CACHE_BYTES = 64 * 2**20

Index = int | slice | Sequence[int] | NDArray[Any]


class StimulusSet:
    """Stimuli in a fixed order, each with an id, a label where there is one, and its pixels.

    `source(i)` gives the pixels of stimulus `i` as they are, uint8 [height, width, channels]: a pure function that
    several threads may call. It is called when pixels are asked for; a bounded cache holds the last ones.

    name: what the set is called in results. ids: unique. labels: class names, None (the default) where unlabeled.
    classes: the class names in index order, where the set states them. native_size: (height, width) where all stimuli
    are known to be of one size. channels: 3 (RGB) or 1 (gray), the same for all.

    Attributes: `name`, `ids`, `labels`, `classes`, `kind` ("image"), `value_range` (of `read`), `sample_rate` (None for
    images), `size` (height, width; None where sizes may differ) and `channels`.

    Raises MetamersError where ids repeat, the labels are not as many as the ids, or a name is no UTF-8.

    >>> levels = StimulusSet(name="levels", ids=["a", "b"], source=lambda i: np.full((16, 24, 3), 51 * i, np.uint8))
    >>> levels.fit((8, 8), channels=1).signals.shape
    torch.Size([2, 1, 8, 8])
    >>> levels[1].ids, levels.pixels(1).max().item()
    (('b',), 51)
    """

    kind: Literal["image", "sound"] = "image"
    value_range: tuple[float, float] = (0.0, 1.0)
    sample_rate: int | None = None

    def __init__(
        self,
        *,
        name: str,
        ids: Sequence[str],
        source: Callable[[int], Any],
        labels: Sequence[str | None] | None = None,
        classes: Sequence[str] = (),
        native_size: tuple[int, int] | None = None,
        channels: int = 3,
    ) -> None:
        self.name = name
        self.ids = tuple(ids)
        self.labels = _checked_labels(labels, self) if labels is not None else (None,) * len(self.ids)
        self.classes = tuple(classes)
        self.size = native_size
        self.channels = _checked_channels(channels)
        repeated = [id_ for id_, count in Counter(self.ids).items() if count > 1]
        if repeated:
            raise MetamersError(f"'{name}': {_some(repeated)} {_is(repeated)} in the set more than once; rename")
        unfit = [text for text in (self.name, *self.ids) if not _is_utf8(text)]
        if unfit:
            raise MetamersError(f"stimuli: the file name {unfit[0]!a} is no UTF-8; rename it")
        self._native_channels = channels
        self._source = source
        self._rows = tuple(range(len(self.ids)))  # where each stimulus stands in the source
        self._fitted = False
        self._cache = _Cache()

    @classmethod
    def from_arrays(
        cls,
        pixels: Pixels | Sequence[Pixels],
        labels: Sequence[str | None] | None = None,
        *,
        ids: Sequence[str] | None = None,
        classes: Sequence[str] = (),
        name: str = "arrays",
    ) -> Self:
        """A set of pixels: uint8 [N, height, width, channels], or a list of uint8 [height, width, channels] whose sizes
        may differ; 3 channels or 1. Ids default to the index, "00000" and so on. The arrays are not copied.

        Raises MetamersError for arrays of another type or shape, for none, and for images of different channels.
        """
        if isinstance(pixels, np.ndarray) and pixels.ndim != 4:
            raise MetamersError(f"'{name}': shape {list(pixels.shape)}; give [images, height, width, channels]")
        images = list(pixels)
        if not images:
            raise MetamersError(f"'{name}' holds no image; give at least one")
        ids = [f"{i:05d}" for i in range(len(images))] if ids is None else ids
        if len(ids) != len(images):
            raise MetamersError(f"'{name}': {len(ids)} ids for {len(images)} images; give one for each")
        for id_, image in zip(ids, images, strict=True):
            _check_array(image, f"image '{id_}' of '{name}'")
        channels = {image.shape[2]: id_ for id_, image in zip(ids, images, strict=True)}
        if len(channels) > 1:
            raise MetamersError(
                f"'{name}': image '{channels[1]}' has 1 channel and '{channels[3]}' has 3; give all the same channels"
            )
        sizes = {image.shape[:2] for image in images}
        return cls(
            name=name,
            ids=ids,
            labels=labels,
            classes=classes,
            source=images.__getitem__,
            native_size=sizes.pop() if len(sizes) == 1 else None,
            channels=next(iter(channels)),
        )

    @classmethod
    def from_tensor(
        cls,
        signals: "torch.Tensor | NDArray[Any]",
        labels: Sequence[str | None] | None = None,
        *,
        ids: Sequence[str] | None = None,
        classes: Sequence[str] = (),
        name: str = "tensor",
    ) -> Self:
        """A set of signals, floats [N, channels, height, width] in [0, 1], 3 channels or 1. They are rounded to 8 bits.

        Raises MetamersError for another type or shape, for values that are not finite or outside [0, 1], and as
        `from_arrays` does.
        """
        if signals.ndim != 4:
            raise MetamersError(f"'{name}': shape {list(signals.shape)}; give [images, channels, height, width]")
        images = []
        for i, signal in enumerate(signals):
            try:
                images.append(quantize(signal))
            except MetamersError as error:
                raise MetamersError(f"'{name}', image {i}: {error}") from None
        return cls.from_arrays(images, labels, ids=ids, classes=classes, name=name)

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        size = f"{self.size[0]} x {self.size[1]}" if self.size else "sizes as they are"
        return f"<StimulusSet '{self.name}': {len(self)} {self.kind}s, {size}, {self.channels} channels>"

    def __iter__(self) -> Iterator[Self]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index: Index) -> Self:
        """The set of the stimuli at an index (a set of one), a slice or several indices, in the order given.

        Raises IndexError for an index out of range, TypeError for one that is no whole number (masks included), and
        MetamersError where an index is given twice.
        """
        chosen = self._chosen(index)
        part = self._copy()
        part.ids = tuple(self.ids[i] for i in chosen)
        part.labels = tuple(self.labels[i] for i in chosen)
        part._rows = tuple(self._rows[i] for i in chosen)
        if len(set(part.ids)) != len(chosen):
            raise MetamersError(f"'{self.name}': an index is given twice; ids must stay unique")
        return part

    def _chosen(self, index: Index) -> list[int]:
        if isinstance(index, slice):
            return list(range(len(self))[index])
        plain: Any = index.tolist() if hasattr(index, "tolist") else index  # of arrays and tensors
        given: Iterable[Any] = plain if isinstance(plain, Iterable) else [plain]
        chosen = []
        for i in given:
            if isinstance(i, bool | np.bool_):
                raise TypeError("a StimulusSet takes indices, not a mask; give numpy.flatnonzero(mask)")
            chosen.append(range(len(self))[operator.index(i)])
        return chosen

    def _copy(self) -> Self:
        copy = object.__new__(type(self))
        copy.__dict__.update(self.__dict__)
        return copy

    def _anew(self) -> Self:
        """A copy that will read otherwise."""
        copy = self._copy()
        copy._cache = _Cache()
        return copy

    def with_labels(self, labels: Sequence[str | None]) -> Self:
        """The same stimuli with other labels, one for each; `classes` is empty then.

        Raises MetamersError where the labels are not as many as the stimuli.
        """
        relabeled = self._copy()
        relabeled.labels, relabeled.classes = _checked_labels(labels, self), ()
        return relabeled

    def fit(self, size: tuple[int, int], channels: int = 3, sample_rate: int | None = None) -> Self:
        """The same stimuli fitted to `size` (height, width) and `channels` (3 or 1) when they are read.

        The image is scaled to cover `size` (antialiased bicubic, on 8-bit pixels), for a square its shorter side to the
        square's, and its center is cropped. An image of that size keeps its pixels. A second `fit` replaces the first.
        `sample_rate` is for sounds.
        """
        height, width = (operator.index(side) for side in size)
        if min(height, width) < 1:
            raise MetamersError(f"'{self.name}': no {self.kind}s of {height} x {width}; give sides of at least 1")
        fitted = self._anew()
        fitted.size = (height, width)
        fitted.channels = _checked_channels(channels)
        fitted._fitted = True
        return fitted

    def as_played(self) -> Self:
        """The same stimuli as people are given them: images as they are."""
        return self

    def pixels(self, i: int) -> Pixels:
        """The pixels of stimulus `i` after fitting, read-only: uint8 [height, width, channels].

        Raises MetamersError where the stimulus cannot be read.
        """
        row = self._rows[i]
        cached = self._cache.pixels(row)
        if cached is not None:
            return cached
        given: Pixels = self._source(row)
        if given.ndim != 3 or given.dtype != np.uint8 or given.shape[2] != self._native_channels:
            raise MetamersError(
                f"'{self.ids[i]}' of '{self.name}': its source gave {given.dtype} {list(given.shape)}; "
                f"it must give uint8 [height, width, {self._native_channels}]"
            )
        if self._fitted and self.size is not None:
            try:
                given = fit_pixels(given, self.size, self.channels)
            except MetamersError as error:
                raise MetamersError(f"'{self.ids[i]}' of '{self.name}': {error}") from None
        given = given.view()
        given.flags.writeable = False
        self._cache.keep(row, given)
        return given

    def read(self, indices: Index | None = None) -> "torch.Tensor":
        """The signals of all stimuli, or of those at `indices`: float32 [N, channels, height, width], pixels / 255.

        Raises MetamersError where sizes differ or a stimulus cannot be read.
        """
        import torch

        chosen = range(len(self)) if indices is None else self._chosen(indices)
        images = [self.pixels(i) for i in chosen]
        if not images:
            return torch.empty((0, self.channels, *(self.size or (0, 0))))
        for i, image in zip(chosen, images, strict=True):
            if image.shape != images[0].shape:
                first = images[0].shape
                raise MetamersError(
                    f"'{self.name}': '{self.ids[chosen[0]]}' has {first[0]} x {first[1]} pixels and '{self.ids[i]}' "
                    f"{image.shape[0]} x {image.shape[1]}; bring them to one size with .fit((height, width))"
                )
        stacked = np.stack(images).transpose(0, 3, 1, 2).astype(np.float32, order="C")
        return torch.from_numpy(stacked).div_(255)

    @property
    def signals(self) -> "torch.Tensor":
        """`read()`: the signals of all stimuli, float32 [N, channels, height, width] in [0, 1]."""
        return self.read()

    def hash(self, i: int) -> str:
        """SHA-256, in hexadecimal digits, of the shape and pixels of stimulus `i` after fitting."""
        row = self._rows[i]
        known = self._cache.hashes.get(row)
        if known is None:
            pixels = self.pixels(i)
            shape = "x".join(map(str, pixels.shape))
            known = hashlib.sha256(f"{shape}:".encode() + pixels.tobytes()).hexdigest()
            self._cache.hashes[row] = known
        return known

    def set_hash(self) -> str:
        """SHA-256, in hexadecimal digits, of the hashes of all stimuli in order."""
        return hashlib.sha256("".join(self.hash(i) for i in range(len(self))).encode()).hexdigest()

    def check(self) -> None:
        """Read every stimulus once, so that what is broken shows before work is spent. Keeps the hashes.

        Raises MetamersError that names the first stimulus that cannot be read, and how many more there are.
        """
        errors = []
        for i in range(len(self)):
            try:
                self.hash(i)
            except MetamersError as error:
                errors.append((self.ids[i], error))
        raise_first(errors)


def raise_first(errors: Sequence[tuple[str, MetamersError]]) -> None:
    """Raise the first of the errors about stimuli, given with their ids, naming the others; nothing where none."""
    if errors:
        others = [id_ for id_, _ in errors[1:]]
        raise MetamersError(f"{errors[0][1]}" + (f" (also unreadable: {_some(others)})" if others else ""))


class _Cache:
    """The pixels read last, up to a number of bytes, and all hashes, by place in the source."""

    def __init__(self) -> None:
        self.hashes: dict[int, str] = {}
        self._kept: OrderedDict[int, NDArray[Any]] = OrderedDict()
        self._bytes = 0
        self._lock = Lock()

    def pixels(self, row: int) -> NDArray[Any] | None:
        with self._lock:
            if row in self._kept:
                self._kept.move_to_end(row)
            return self._kept.get(row)

    def keep(self, row: int, pixels: NDArray[Any]) -> None:
        with self._lock:
            if row in self._kept or pixels.nbytes > CACHE_BYTES:
                return
            self._kept[row] = pixels
            self._bytes += pixels.nbytes
            while self._bytes > CACHE_BYTES:
                self._bytes -= self._kept.popitem(last=False)[1].nbytes


def _checked_labels(labels: Sequence[str | None], stimuli: StimulusSet) -> tuple[str | None, ...]:
    if len(labels) != len(stimuli):
        raise MetamersError(f"'{stimuli.name}': {len(labels)} labels for {len(stimuli)} stimuli; give one for each")
    return tuple(labels)


def _checked_channels(channels: int) -> int:
    if channels not in (1, 3):
        raise MetamersError(f"images of {channels} channels are not known; give 3 (RGB) or 1 (gray)")
    return channels


def _check_array(image: Any, where: str) -> None:
    """Refuse what is no uint8 [height, width, 1 or 3]."""
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
        found = image.dtype if isinstance(image, np.ndarray) else type(image).__name__
        raise MetamersError(f"{where} holds {found}; give numpy arrays of uint8, 0 to 255")
    if image.ndim != 3 or image.shape[2] not in (1, 3) or 0 in image.shape:
        raise MetamersError(f"{where} has shape {list(image.shape)}; give [height, width, channels], 1 or 3 channels")


def _some(names: Sequence[str]) -> str:
    """Up to three names, and how many more."""
    shown = ", ".join(f"'{name}'" for name in names[:3])
    return shown + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _is_utf8(text: str) -> bool:
    """Whether a text can be written to a file; a file's name of other bytes cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is(names: Sequence[str]) -> str:
    return "is" if len(names) == 1 else "are"
