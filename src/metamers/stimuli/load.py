"""Stimuli from what a user names: a folder, an archive, an array file, one image, or a bundled set."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any
from urllib.parse import parse_qsl

from metamers.errors import MetamersError, nearest
from metamers.stimuli.arrays import load_npz
from metamers.stimuli.files import FolderFiles, Kind, StimulusFiles, ZipFiles, kind_of
from metamers.stimuli.images import decode_image, read_size
from metamers.stimuli.labeling import Labels, labels_from_folders, labels_from_pattern, labels_from_table
from metamers.stimuli.pixels import Pixels
from metamers.stimuli.sound_set import SoundSet
from metamers.stimuli.sounds import MAX_SECONDS, Sound, decode_sound, read_header
from metamers.stimuli.stimulus_set import StimulusSet, raise_first

BUNDLED = "bundled:"
BUNDLED_SETS: Mapping[str, tuple[str, ...]] = {
    "pictograms": ("split", "n", "seed", "size"),
    "spoken_words": ("split", "n", "seed", "snr"),
    "spoken_clips": ("n",),
}
"""The options of each."""


def load_stimuli(
    path_or_spec: str | Path,
    *,
    labels: str | Path | None = None,
    label_column: str | None = None,
    label_pattern: str | None = None,
    limit: int | None = None,
    rate: int | None = None,
    seconds: float | None = None,
    rms: float | None = None,
) -> StimulusSet:
    """The stimuli of a folder (with its subfolders), a zip archive of one (read in place), an npz file of images (`X`,
    `y`, `classes`), a single image (PNG, JPEG, WebP, TIFF) or sound (WAV, FLAC, OGG, MP3), or a bundled set:
    `bundled:pictograms?split=test&n=512&seed=0`, `bundled:spoken_clips`, or (extra: speech)
    `bundled:spoken_words?split=test&n=480&seed=0&snr=10`. A folder with both kinds gives its images, unless one of
    `rate`, `seconds` and `rms` is given.

    Labels come from the subfolders (the first that not all files share), or from the table in the file `labels`,
    column `label_column`, or from the file names by `label_pattern`, for instance "{label}_*".
    `limit` takes the first so many stimuli.

    Sounds are mixed to one channel and resampled to `rate` samples a second (None: their own, where it is the same for
    all); their middle `seconds` are kept, or silence added on both sides (None: as they are); `rms` is the level that
    each is set to, with full scale 1 (None: its own).

    The headers of all files are checked here; `StimulusSet.check` decodes them as well. Image files give RGB, in
    their own sizes until `StimulusSet.fit`.

    Raises MetamersError, one line that names the file and the repair, for what cannot be shown as 8-bit RGB or gray or
    16-bit sound.

    >>> load_stimuli("bundled:pictograms?n=2").labels
    ('airplane', 'anchor')
    """
    if limit is not None and limit < 1:
        raise MetamersError(f"limit {limit} leaves no stimuli; take at least 1")
    if labels is not None and label_pattern is not None:
        raise MetamersError("labels come from a file or from a pattern, not from both; leave one out")
    if label_column is not None and labels is None:
        raise MetamersError(f"label column '{label_column}' is given without a file of labels; give the file too")
    kind: Kind | None = None
    if not (rate is None and seconds is None and rms is None):
        kind = "sound"
        if (rate is not None and rate < 1) or (seconds is not None and not 0 < seconds <= MAX_SECONDS):
            raise MetamersError(
                f"sounds of {seconds} s at {rate} Hz; give a rate of at least 1, and above 0 to {MAX_SECONDS} seconds"
            )
    if str(path_or_spec).startswith(BUNDLED):
        stimuli = _bundled(str(path_or_spec))
        all_ids = stimuli.ids
    elif (path := _existing(path_or_spec)).suffix.lower() == ".npz" and path.is_file():
        stimuli = load_npz(path, _name(path))
        all_ids = stimuli.ids
    else:
        files = _files(path, kind)
        all_ids = files.ids
        if files.kind == "image":
            stimuli = _images(files, _name(path), limit)
        else:
            stimuli = _sounds(files, _name(path), limit, rate, seconds, rms)
    if kind not in (None, stimuli.kind):
        raise MetamersError(f"'{stimuli.name}' holds images, which take no rate, seconds or rms; leave these out")
    if kind == "sound" and str(path_or_spec).startswith(BUNDLED):
        assert isinstance(stimuli, SoundSet)
        stimuli = stimuli.brought_to(rate, seconds, rms)
    stimuli = stimuli[:limit]
    given: Labels | None = None
    if labels is not None:
        given = labels_from_table(all_ids, Path(labels), label_column)
    elif label_pattern is not None:
        given = labels_from_pattern(all_ids, label_pattern)
    return stimuli if given is None else stimuli.with_labels(given[:limit])


def _images(files: StimulusFiles, name: str, limit: int | None) -> StimulusSet:
    ids = files.ids[:limit]
    sizes = set(_headers(files, ids, read_size))

    def source(i: int) -> Pixels:
        return decode_image(files.read(ids[i]), files.where(ids[i]))

    return StimulusSet(
        name=name,
        ids=ids,
        labels=labels_from_folders(files.ids)[:limit],
        source=source,
        native_size=sizes.pop() if len(sizes) == 1 else None,
    )


def _sounds(
    files: StimulusFiles, name: str, limit: int | None, rate: int | None, seconds: float | None, rms: float | None
) -> SoundSet:
    ids = files.ids[:limit]
    headers = _headers(files, ids, read_header)
    rates = sorted({found for _, found in headers})
    if rate is None and len(rates) > 1:
        raise MetamersError(f"'{name}': sounds of {' and '.join(map(str, rates[:3]))} Hz; give one with --rate (rate=)")
    chosen = rates[0] if rate is None else rate
    lengths = {-(-n * chosen // found) for n, found in headers}  # once resampled
    n_samples = None if seconds is None else round(seconds * chosen)
    if seconds is None and len(lengths) == 1:
        n_samples = lengths.pop()

    def source(i: int) -> Sound:
        return decode_sound(files.read(ids[i]), files.where(ids[i]))

    return SoundSet(
        name=name,
        ids=ids,
        labels=labels_from_folders(files.ids)[:limit],
        source=source,
        sample_rate=chosen,
        n_samples=n_samples,
        rms=rms,
    )


def _headers(
    files: StimulusFiles, ids: Sequence[str], read: Callable[[IO[bytes], str], tuple[int, int]]
) -> list[tuple[int, int]]:
    """What the headers of all files say. Raises MetamersError for the first that is bad, naming the others."""
    headers, errors = [], []
    for id_ in ids:
        try:
            with files.open(id_) as file:
                headers.append(read(file, files.where(id_)))
        except MetamersError as error:
            errors.append((id_, error))
    raise_first(errors)
    return headers


def _existing(path: str | Path) -> Path:
    try:
        path = Path(path).expanduser()
    except RuntimeError as error:  # ~NAME of no user
        raise MetamersError(f"stimuli '{path}' cannot be reached ({error}); correct the path") from error
    try:
        if path.exists():
            return path
        names = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
    except OSError as error:
        raise MetamersError(f"stimuli '{path}' cannot be reached ({error.strerror}); correct the path") from error
    hint = nearest(path.name, names) or nearest(str(path), (BUNDLED + name for name in BUNDLED_SETS))
    raise MetamersError(f"stimuli '{path}': no such file or folder{hint or '; correct the path'}")


def _files(path: Path, kind: Kind | None) -> StimulusFiles:
    if path.is_dir():
        return FolderFiles(path, kind=kind)
    if path.suffix.lower() == ".zip":
        return ZipFiles(path, kind)
    if kind_of(path.name):
        return FolderFiles(path.parent, (path.name,))
    raise MetamersError(
        f"stimuli '{path}' are of no known kind; give a folder, .zip, .npz, PNG, JPEG, WebP, TIFF, WAV, FLAC, OGG or "
        "MP3"
    )


def _name(path: Path) -> str:
    """A folder's name; a file's name after its folder's: the same from wherever it is called."""
    path = path.resolve()
    return path.name if path.is_dir() else "/".join(filter(None, (path.parent.name, path.name)))


def _bundled(spec: str) -> StimulusSet:
    name, _, query = spec.removeprefix(BUNDLED).partition("?")
    if name not in BUNDLED_SETS:
        raise MetamersError(
            f"no bundled stimuli '{name}'; there are: {', '.join(BUNDLED_SETS)}{nearest(name, BUNDLED_SETS)}"
        )
    options = _options(spec, query, BUNDLED_SETS[name])
    if name == "pictograms":
        from metamers.stimuli.pictograms import pictograms

        return pictograms(**options)
    from metamers.stimuli.spoken_words import spoken_clips, spoken_words

    return spoken_words(**options) if name == "spoken_words" else spoken_clips(**options)


def _options(spec: str, query: str, known: Sequence[str]) -> dict[str, Any]:
    """The keyword arguments that a query states, numbers as numbers."""
    listed = ", ".join(known)
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True) if query else []
    except ValueError as error:
        raise MetamersError(f"'{spec}': write what follows ? as key=value, joined by &, of {listed}") from error
    options: dict[str, Any] = {}
    for key, value in pairs:
        if key not in known:
            raise MetamersError(f"'{spec}': no option '{key}'{nearest(key, known)}; there are {listed}")
        if key in options:
            raise MetamersError(f"'{spec}' states '{key}' twice; keep one")
        options[key] = _read(spec, key, value)
    return options


def _read(spec: str, key: str, value: str) -> str | int | float | tuple[float, float]:
    if key in ("n", "seed", "size"):
        if not (value.isascii() and value.isdigit()):
            raise MetamersError(f"'{spec}': {key} is '{value}'; give a whole number")
        return int(value)
    if key != "snr":
        return value
    low, two, high = value.partition("..")
    try:
        ends = float(low), float(high if two else low)
    except ValueError:
        ends = float("nan"), float("nan")
    if not -100 <= ends[0] <= ends[1] <= 100:
        raise MetamersError(f"'{spec}': {key} is '{value}'; give a number of dB from -100 to 100, or two as -5..15")
    return ends if two else ends[0]
