"""An experiment as a study for JATOS: an archive with all that participants may know, and a key to it."""

import io
import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from secrets import token_hex
from typing import Any, Literal
from uuid import uuid4
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from pydantic import BaseModel, ConfigDict

from metamers.errors import MetamersError
from metamers.experiment.config import ExperimentConfig
from metamers.experiment.making import read_experiment
from metamers.experiment.manifest import Stimulus
from metamers.experiment.messages import read_file
from metamers.experiment.trials import Design
from metamers.store import write_whole

JAS_VERSION = "3"
"""Of the study's properties: that of all JATOS 3."""
WORKERS = ("PersonalSingle", "PersonalMultiple", "Jatos")
"""Who may take part at first, as in a study that is made in JATOS; more are allowed there."""
TITLES = {"image": "Naming pictures", "sound": "Naming sounds", "word": "Naming sounds"}
PAGE_FILES = {"index.html": "jatos.html", "experiment.js": "jatos.js", "style.css": "style.css"}


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Shown(_Part):
    """A trial of a list: a row of the table `trial`, and the file in the archive."""

    trial_no: int
    block: int
    phase: str
    stimulus_id: str
    reference: str
    condition: str
    assigned: str
    label: str
    substituted: bool
    mask_seed: int
    file: str


class Key(_Part):
    """What the archive does not tell: for each list and trial, what is shown."""

    version: Literal[1] = 1
    study: str
    config: ExperimentConfig
    stimuli: tuple[Stimulus, ...]
    lists: tuple[tuple[Shown, ...], ...]


def write_archive(folder: Path, out: Path, participants: int) -> dict[str, Any]:
    """Write an archive that JATOS 3 imports to `out`, with trial lists for so many participants, and beside it its key,
    which must stay with the researcher.

    Returns the paths and the numbers of lists and files. Raises MetamersError as `read_experiment` does, where the page
    is not built or a file is there already, and for a `return_url` without the code that goes into it.
    """
    from metamers.experiment.server import PAGE
    from metamers.experiment.serving import require_page

    key_file = out.with_suffix(".key.json")
    if out.suffix != ".jzip":
        raise MetamersError(f"--out {out}: JATOS imports files named .jzip only; give such a name")
    for path in (out, key_file):
        if path.exists():
            raise MetamersError(f"{path}: is there already, and a key that is lost cannot be made again; choose --out")
    config, stimuli = read_experiment(folder)
    if config.in_pairs:
        raise MetamersError(f"{folder}: {config.task} is for our own server; give JATOS a task in which people name")
    if config.choice_order != "fixed":
        raise MetamersError(f"{folder}: choice_order {config.choice_order} is for our own server; give fixed")
    # Nothing there may know who passed at the first attempt.
    once = config.headphones.model_copy(update={"attempts": 1})
    config = config.model_copy(update={"headphones": once})
    if config.return_url and not config.codes.complete:
        raise MetamersError(f"{folder}: return_url needs codes.complete, as JATOS makes no codes; give it")
    require_page()
    key = _key(config, stimuli, participants)
    name = f"metamers_{key.study[:8]}"
    media = {shown.file: shown.stimulus_id for rows in key.lists for shown in rows}
    by_id = {stimulus.stimulus: stimulus for stimulus in stimuli}
    contents: dict[str, bytes] = {f"{name}.jas": _json(_properties(key, name))}
    contents |= {f"{name}/{there}": (PAGE / here).read_bytes() for there, here in PAGE_FILES.items()}
    contents[f"{name}/experiment.json"] = _json(_told(key))
    contents |= {f"{name}/lists/{i}.json": _json(_trials(rows)) for i, rows in enumerate(key.lists)}
    # In the order of their names, which are random: that in which they were made would tell conditions.
    contents |= {f"{name}/media/{file}": (folder / by_id[media[file]].file).read_bytes() for file in sorted(media)}
    write_whole(key_file, key.model_dump_json(by_alias=True, indent=1).encode(), mode=0o600)
    write_whole(out, _zipped(contents))
    return {"archive": str(out), "key": str(key_file), "lists": len(key.lists), "media": len(media)}


def read_key(path: Path) -> Key:
    """A key. Raises MetamersError for another file."""
    key = read_file(path, Key, "give the key of the archive as it was written")
    known = {stimulus.stimulus for stimulus in key.stimuli}
    if strange := next((s.stimulus_id for rows in key.lists for s in rows if s.stimulus_id not in known), None):
        raise MetamersError(f"{path}: has no stimulus {strange!r}, which is shown; give the key as it was written")
    return key


def _key(config: ExperimentConfig, stimuli: list[Stimulus], participants: int) -> Key:
    design = Design(config, stimuli)
    # New names: those of the experiment follow from its seed and the names of stimuli.
    files = {stimulus.stimulus: token_hex(16) + Path(stimulus.file).suffix for stimulus in stimuli}
    fields = set(Shown.model_fields) - {"file"}
    lists = tuple(
        tuple(
            Shown(file=files[row["stimulus_id"]], **{name: row[name] for name in fields})
            for row in design.rows("", number)
        )
        for number in range(participants)
    )
    return Key(study=str(uuid4()), config=config, stimuli=tuple(Stimulus(**asdict(s)) for s in stimuli), lists=lists)


def _told(key: Key) -> dict[str, Any]:
    """What the page knows of the experiment."""
    config, code = key.config, key.config.codes.declined
    url = config.return_url.replace("{code}", code) if config.return_url and code else None
    return {
        **{"study": key.study, "lists": len(key.lists), "unanswered": config.unanswered},
        **{"declined": {"code": code, "url": url}, "page": config.for_page},
    }


def _trials(rows: Iterable[Shown]) -> list[dict[str, Any]]:
    """A list as the page knows it; only trials with feedback tell what is right."""
    hidden = {"catch": "main"}
    return [
        {
            **{"trial": shown.trial_no, "phase": hidden.get(shown.phase, shown.phase), "block": shown.block},
            **{"media": shown.file, "mask": shown.mask_seed},
            **({"label": shown.label} if shown.phase == "practice" else {}),
        }
        for shown in rows
    ]


def _properties(key: Key, name: str) -> dict[str, Any]:
    """The study as JATOS describes it. The address at the end, with the code, is known to its server only."""
    config = key.config
    url = config.return_url.replace("{code}", config.codes.complete or "") if config.return_url else None
    own = (texts.title for texts in config.texts.values() if texts.title)
    title = f"{next(own, TITLES[config.task])} {key.study[:8]}"
    component = {
        **{"uuid": str(uuid4()), "title": title, "htmlFilePath": "index.html", "reloadable": True, "active": True},
        **{"comments": None, "jsonData": None},
    }
    batch = {
        **{"uuid": str(uuid4()), "title": "Default", "active": True, "maxActiveMembers": None},
        **{"maxTotalMembers": None, "maxTotalWorkers": None, "allowedWorkerTypes": WORKERS, "comments": None},
        "jsonData": None,
    }
    study = {
        **{"uuid": key.study, "title": title, "description": "", "groupStudy": False, "linearStudy": False},
        **{"allowPreview": False, "dirName": name, "comments": "", "jsonData": None, "endRedirectUrl": url},
        **{"studyEntryMsg": None, "componentList": [component], "batchList": [batch]},
    }
    return {"version": JAS_VERSION, "data": study}


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def _zipped(contents: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with ZipFile(file, "w") as archive:
        for name, content in contents.items():
            info = ZipInfo(name)  # of no date, as when a file was made tells what it is
            info.compress_type = ZIP_DEFLATED
            info.external_attr = 0o644 << 16
            archive.writestr(info, content)
    return file.getvalue()
