"""What an experiment shows: files with opaque names, and a table of what they are."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from hashlib import sha256 as digest_of
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

import numpy as np
from PIL import Image

from metamers.errors import MetamersError
from metamers.experiment.headphones import headphone_sound
from metamers.stimuli.images import decode_image
from metamers.store import Record, Store, sha256, write_whole

if TYPE_CHECKING:
    from metamers.experiment.config import ExperimentConfig
    from metamers.stimuli import StimulusSet

NATURAL = "natural"
MEDIA = "media"
TABLE = "stimuli.csv"
SHOWN_SIDE = 256
"""Images are enlarged by the largest whole factor with which their longer side is at most this."""


@dataclass(frozen=True)
class Stimulus:
    """One file that people are shown.

    `phase` is main, headphones, practice, screening or catch; `condition` MODEL/STAGE or `natural`; `source` the
    reference; `cell` as in the run's tables; `factor` by how much an image is enlarged. The measures are those of the
    metamer's verdict.
    """

    stimulus: str
    phase: str
    condition: str
    source: str
    label: str
    file: str
    sha256: str
    cell: str = ""
    model: str = ""
    stage: str = ""
    recipe: str = ""
    seed: int | None = None
    pearson_r: float | None = None
    spearman_rho: float | None = None
    snr_db: float | None = None
    factor: int = 1


def cells_of(store: Store) -> list[Record]:
    """The cells of a run that people are asked about: those of its first recipe and seed."""
    study = store.study()
    recipe, seed = study["recipes"][0]["name"], study["seeds"][0]
    batches = (batch for batch in store.batches() if (batch["recipe"], batch["seed"]) == (recipe, seed))
    return [cell for batch in batches for cell in batch["cells"]]


def main_stimuli(store: Store, config: "ExperimentConfig", folder: Path) -> list[Stimulus]:
    """The references of a run and its verified metamers, of its first recipe and seed, copied to `folder`.

    Raises MetamersError where there is none, for labels that are not the experiment's, for a file that is no longer as
    recorded, and, where the configuration refuses that, for a (reference, condition) without a verified metamer.
    """
    cells = cells_of(store)
    if config.pairs is not None:
        compared = {condition for pair in config.pairs for condition in pair}
        cells = [cell for cell in cells if f"{cell['model']}/{cell['stage']}" in compared]
    passed = [cell for cell in cells if cell["verdict"] == "passed"]
    if not passed:
        raise MetamersError(f"{store.folder}: holds no metamer that passed; people are shown no others")
    if config.missing == "refuse" and len(passed) < len(cells):
        failed = next(cell for cell in cells if cell["verdict"] != "passed")
        other = "skip" if config.in_pairs else "substitute_natural or skip"
        raise MetamersError(
            f"{store.folder}: {len(cells) - len(passed)} of {len(cells)} cells did not pass (first {failed['cell']}); "
            f"make them anew, or set missing to {other} (--set missing=...)"
        )
    references = {cell["reference"]: cell for cell in passed}
    for cell in references.values():
        if cell["label"] not in config.labels and not config.in_pairs:
            raise MetamersError(
                f"{store.folder}: {cell['reference']!r} is labeled {cell['label']!r}, which is none of the "
                f"experiment's labels; give labels that have it"
            )
    natural = (_of_reference(store, cell, config, folder) for cell in references.values())
    return [*natural, *(_of_cell(store, cell, config, folder) for cell in passed)]


def extra_stimuli(
    given: "StimulusSet", config: "ExperimentConfig", sources: Iterable[Stimulus], folder: Path
) -> list[Stimulus]:
    """Natural stimuli for practice, screening and catch trials, as many of each label as can be, none of them one of
    `sources`, written to `folder`. Where nothing is named, any label and none will do.

    Raises MetamersError where `given` has too few.
    """
    taken = {stimulus.sha256 for stimulus in sources}
    wanted = {"practice": config.practice, "screening": config.screening.trials, "catch": config.catch.trials}
    by_label: dict[str, list[int]] = {}
    for i, label in enumerate(given.labels):
        if label in config.labels or config.in_pairs:
            by_label.setdefault(str(label), []).append(i)
    turns = (i for rows in zip(*_padded(by_label.values()), strict=True) for i in rows if i is not None)
    found = []
    for phase, n in wanted.items():
        for _ in range(n):
            stimulus = next((made for i in turns if (made := _of_set(given, i, phase, config, folder, taken))), None)
            if stimulus is None:
                raise MetamersError(
                    f"'{given.name}' has too few stimuli with the experiment's labels that are no references: "
                    f"practice, screening and catch trials take {sum(wanted.values())}; give more, or lower these"
                )
            found.append(stimulus)
    return found


def headphone_stimuli(config: "ExperimentConfig", folder: Path) -> list[Stimulus]:
    """The sounds of the headphone check, written to `folder`; see `metamers.experiment.headphones`."""
    rng, found = np.random.default_rng([config.seed, 0x4EAD]), []
    for i in range(config.headphones.trials):
        content, label = headphone_sound(rng)
        file = _shown(content, "x.wav", f"headphones/{i}", config.seed, folder)
        source, cell = f"tones{i}", f"headphones/{i}"
        found.append(Stimulus(phase="headphones", condition=NATURAL, source=source, label=label, cell=cell, **file))
    return found


def write_manifest(folder: Path, stimuli: Sequence[Stimulus]) -> None:
    """Write the table of stimuli."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(Stimulus)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(stimulus) for stimulus in stimuli)
    write_whole(folder / TABLE, text.getvalue().encode())


def read_manifest(folder: Path) -> list[Stimulus]:
    """The stimuli of an experiment, all of whose files are there and as recorded.

    Raises MetamersError, naming the file, where one is missing or altered, or a stimulus is there twice.
    """
    path = folder / TABLE
    try:
        with path.open(encoding="utf-8", newline="") as file:
            stimuli = [_parsed(row) for row in csv.DictReader(file)]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise MetamersError(f"{path}: cannot be read ({error}); make the experiment anew") from error
    seen: set[str] = set()
    for stimulus in stimuli:
        file_path = folder / stimulus.file
        if stimulus.stimulus in seen:
            raise MetamersError(f"{path}: stimulus {stimulus.stimulus!r} is there twice; make the experiment anew")
        if not file_path.resolve().is_relative_to(folder.resolve()) or not file_path.is_file():
            raise MetamersError(f"{file_path}: is missing; make the experiment anew")
        if sha256(file_path.read_bytes()) != stimulus.sha256:
            raise MetamersError(f"{file_path}: is not the file that was recorded; make the experiment anew")
        seen.add(stimulus.stimulus)
    return stimuli


def _of_cell(store: Store, cell: Record, config: "ExperimentConfig", folder: Path) -> Stimulus:
    content = _intact(store, cell["file"], cell["sha256"])
    measures = {name: cell[name] for name in ("pearson_r", "spearman_rho", "snr_db")}
    keys = {name: cell[name] for name in ("cell", "model", "stage", "recipe", "seed", "label")}
    condition = f"{cell['model']}/{cell['stage']}"
    file = _shown(content, cell["file"], cell["cell"], config.seed, folder)
    return Stimulus(phase="main", condition=condition, source=cell["reference"], **file, **keys, **measures)


def _of_reference(store: Store, cell: Record, config: "ExperimentConfig", folder: Path) -> Stimulus:
    content = _intact(store, cell["reference_file"], cell["reference_sha256"])
    file = _shown(content, cell["reference_file"], cell["reference_file"], config.seed, folder)
    keys = {"cell": cell["reference_file"], "source": cell["reference"], "label": cell["label"]}
    return Stimulus(phase="main", condition=NATURAL, **file, **keys)


def _of_set(
    given: "StimulusSet", i: int, phase: str, config: "ExperimentConfig", folder: Path, taken: set[str]
) -> Stimulus | None:
    from metamers.stimuli.written import SUFFIXES, encode

    suffix = SUFFIXES[given.kind]
    content = encode(given.read([i])[0], given.kind, given.sample_rate)
    file = _shown(content, f"x{suffix}", f"{phase}/{given.ids[i]}", config.seed, folder)
    if file["sha256"] in taken:
        (folder / file["file"]).unlink()
        return None
    taken.add(file["sha256"])
    label = str(given.labels[i])
    return Stimulus(
        phase=phase, condition=NATURAL, source=given.ids[i], label=label, cell=f"{phase}/{given.ids[i]}", **file
    )


def _intact(store: Store, file: str, digest: str) -> bytes:
    content = store.path(file).read_bytes()
    if sha256(content) != digest:
        raise MetamersError(f"{store.path(file)}: is not the file that was recorded; make the run anew")
    return content


def _shown(content: bytes, name: str, of: str, seed: int, folder: Path) -> dict[str, Any]:
    """Write a file under a name that tells nothing; images enlarged."""
    stimulus, suffix, factor = digest_of(f"{seed}/{of}".encode()).hexdigest()[:16], Path(name).suffix, 1
    if suffix == ".png":
        pixels = decode_image(content, name)
        factor = max(1, SHOWN_SIDE // max(pixels.shape[:2]))
        enlarged = io.BytesIO()
        Image.fromarray(pixels.repeat(factor, 0).repeat(factor, 1).squeeze()).save(enlarged, "PNG")
        content = enlarged.getvalue()
    file = f"{MEDIA}/{stimulus}{suffix}"
    write_whole(folder / file, content)
    return {"stimulus": stimulus, "file": file, "sha256": sha256(content), "factor": factor}


def _padded(lists: Iterable[list[int]]) -> Iterator[list[int | None]]:
    lists = list(lists)
    longest = max(map(len, lists), default=0)
    return ([*each, *([None] * (longest - len(each)))] for each in lists)


def _parsed(row: dict[str, str]) -> Stimulus:
    values: dict[str, Any] = dict(row)
    for name, kind in get_type_hints(Stimulus).items():
        if kind is not str:
            number = int if name in ("seed", "factor") else float
            values[name] = number(row[name]) if row[name] else None
    return Stimulus(**values)
