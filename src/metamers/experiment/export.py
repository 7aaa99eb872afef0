"""The data of an experiment as tables that other programs read."""

import csv
import io
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from sqlalchemy import Connection, RowMapping, select

from metamers.errors import MetamersError
from metamers.experiment.config import PLACES, Exclude
from metamers.experiment.database import (
    ANSWER,
    CHECK,
    EVENT,
    EXPERIMENT,
    IDENTITY,
    RESPONSE,
    SESSION,
    TRIAL,
    reading,
)
from metamers.experiment.gates import last_attempts
from metamers.experiment.messages import Environment
from metamers.experiment.opened import Opened
from metamers.experiment.pairs import COLUMNS, preferences
from metamers.experiment.trials import Design
from metamers.store import SIMULATED, sha256, write_json, write_whole

Row = dict[str, Any]

TRIALS = {
    "participant": "pseudonym, in the order of sessions",
    "mode": "live, pilot, lab or simulated",
    "trial": "number in the session, from 1",
    "block": "from 0: each attempt at the headphone check, practice, screening, main trials; a break between blocks",
    "phase": "headphones, practice, screening, catch or main",
    "cell": "name of the stimulus in the run",
    "condition": "MODEL/STAGE of the metamer, or natural; of two candidates, both",
    "model": "generating model",
    "stage": "stage at which it is a metamer",
    "reference": "the natural stimulus",
    "label": "right answer; empty where there is none",
    "assigned": "condition that was to be shown",
    "substituted": "1 where the reference took the place of a missing metamer",
    "response": "label that was chosen, of two candidates the condition of the chosen one (outside of main trials: "
    "first or second); empty without an answer",
    "response_raw": "what was typed or clicked",
    "correct": "1 right, 0 wrong, empty where nothing could be shown, and where no answer is right",
    "timed_out": "1 where the time to answer was over",
    "rt_ms": "from the choices' appearance (sound: from the sound's begin) to the answer, ms",
    "fixation_ms": "measured duration, ms",
    "stimulus_ms": "measured duration, ms",
    "mask_ms": "measured duration, ms",
    "output_latency_ms": "delay of the sound card as the browser reports it, not in rt_ms, ms",
    "refresh_hz": "frames a second of the screen, as measured",
    "dropped_frames": "frames that were late during the trial",
    "hidden_ms": "for how long the page was hidden during the trial, ms",
    "timing_ok": "1 where each part was shown for its time, within a frame",
    "media_ok": "0 where the file could not be shown",
    "attempt": "2 where the trial was shown again after an interruption",
    "state": "answered, interrupted (shown, not answered), waiting (not shown), not needed (a check that had passed)",
    "received_at": "when the server had it, UTC",
    "included": "1 in responses.csv or pairs.csv, 0 not; exclusions.csv tells why",
}
IN_PAIRS = {
    "first": "condition of the candidate on the left, or heard first; natural in trials that have a right answer",
    "second": "condition of the other candidate",
    "first_cell": "its name in the run",
    "second_cell": "its name in the run",
}
"""Columns of `trials.csv` where two candidates are compared with a reference."""
SESSIONS = ("participant", "mode", "state", "list_number", "outcome_code", "n_resumes")
TIMES = ("created_at", "consented_at", "finished_at")
CHECKS = ("participant", "name", "attempt", "score", "n", "threshold", "passed")
MODEL_VS_HUMAN = ("subj", "session", "trial", "rt", "object_response", "category", "condition", "imagename")
_DANGEROUS = ("=", "+", "-", "@", "\t", "\r")


def export(opened: Opened, out: Path, *, identities: bool = False, modes: Sequence[str] | None = None) -> Row:
    """Write the data to a new folder: `trials.csv` (a row for each trial), `responses.csv` (the main trials that count,
    for `import-responses`, with names of participants that no other database gives) or, where pairs are compared,
    `pairs.csv` (how often which was chosen), `sessions.csv`, `checks.csv`, `answers.csv` (forms), `exclusions.csv`,
    `events.jsonl`, a file for each participant in the format of model-vs-human, `codebook.csv` and `manifest.json` with
    hashes; with `identities`, who is who, too. modes: of the sessions; None for all but pilots and simulated ones, or,
    where there are no others, those.

    Returns the numbers of sessions and of those that count, of trials, of main trials that were answered, of those that
    count and of those that do not as they showed the reference instead, and how many participants each rule excluded.
    Raises MetamersError for a folder that is not empty, and where there is no session.
    """
    if out.exists() and any(out.iterdir()):
        raise MetamersError(f"{out}: is not empty; choose a new or empty --out")
    with reading(opened.engine) as db:
        sessions, trials, checks = collect(db, opened.design, modes)
        if not sessions:
            raise MetamersError(f"{opened.folder}: nobody has taken part yet; `metamers experiment serve` lets them")
        forms = _joined(db, ANSWER, sessions)
        events = _events(db, sessions)
        who = _joined(db, IDENTITY, sessions) if identities else []
        database = sha256(f"{opened.hash} {db.execute(select(EXPERIMENT.c.created_at)).scalar_one()}".encode())[:8]
    reasons = exclusions(opened, sessions, trials, checks)
    excluded = {row["participant"] for row in reasons}
    swapped = not opened.design.config.exclude.substituted
    for row in trials:
        row["included"] = _seen(row) and (swapped or not row["substituted"]) and row["participant"] not in excluded
    environment = list(Environment.model_fields)
    config = opened.design.config
    told = TRIALS | (IN_PAIRS if config.in_pairs else {})
    tables = {
        "trials.csv": _csv(list(told), trials),
        "sessions.csv": _csv([*SESSIONS, *TIMES, "choices", *environment], _with_choices(opened.design, sessions)),
        "checks.csv": _csv(CHECKS, checks),
        "answers.csv": _csv(("participant", "form", "item", "value"), forms),
        "exclusions.csv": _csv(("participant", "rule", "value", "threshold"), reasons),
        "codebook.csv": _csv(("name", "meaning"), [{"name": k, "meaning": v} for k, v in told.items()]),
        "events.jsonl": "".join(json.dumps(event, sort_keys=True) + "\n" for event in events),
    }
    if identities:
        fields = ("participant", "source", "external_id", "study_ref", "session_ref")
        tables["identities.csv"] = _csv(fields, who)
    if config.in_pairs:
        tables["pairs.csv"] = _csv(COLUMNS, preferences(config.pairs or (), _included(trials)))
    else:
        named = ["participant", "cell", "label", "response", "rt_ms"]
        answers = [{**row, "participant": _anywhere(row, database)} for row in _included(trials)]
        tables["responses.csv"] = _csv(named, answers, safe=False)
        tables |= {f"model-vs-human/{name}.csv": text for name, text in _model_vs_human(trials).items()}
    for name, text in tables.items():
        write_whole(out / name, text.encode())
    hashes = {name: sha256(text.encode()) for name, text in tables.items()}
    write_json(out / "manifest.json", {"experiment": opened.hash, "files": hashes})
    return {
        **{"sessions": len(sessions), "included": len(sessions) - len(excluded), "trials": len(trials)},
        **{"main_trials": sum(map(_seen, trials)), "included_trials": len(_included(trials))},
        "substituted": sum(not swapped and _seen(row) and row["substituted"] for row in trials),
        "excluded": dict(Counter(row["rule"] for row in reasons)),
    }


def _with_choices(design: Design, sessions: Sequence[Row]) -> list[Row]:
    """With what the browser told of itself, and the order of the choices, where it is the session's own."""
    own = design.config.choice_order == "per_session"
    choices = (json.dumps(design.choices_of(s["session_id"]), ensure_ascii=False) if own else "" for s in sessions)
    return [{**(s["environment"] or {}), **s, "choices": told} for s, told in zip(sessions, choices, strict=True)]


def collect(db: Connection, design: Design, modes: Sequence[str] | None) -> tuple[list[Row], list[Row], list[Row]]:
    """The sessions of some modes (None as in `export`), their trials with the last answer to each, and their gates."""
    sessions = _sessions(db, modes)
    trials = [row for session in sessions for row in _trials(db, design, session)]
    return sessions, trials, _joined(db, CHECK, sessions)


def exclusions(opened: Opened, sessions: Sequence[Row], trials: Sequence[Row], checks: Sequence[Row]) -> list[Row]:
    """Who does not count and why: who did not finish, failed the last attempt at a gate, named too few of the catch
    trials, or whom the configuration's `exclude` means."""
    catch, reasons = opened.design.config.catch, list[Row]()
    catches: dict[str, list[bool]] = {}
    main: dict[str, list[Row]] = {}
    for trial in trials:
        if trial["phase"] == "catch" and trial["correct"] is not None:
            catches.setdefault(trial["participant"], []).append(trial["correct"])
        if _seen(trial):
            main.setdefault(trial["participant"], []).append(trial)
    checks_of: dict[str, list[Row]] = {}
    for check in last_attempts(checks):
        checks_of.setdefault(check["participant"], []).append(check)
    for session in sessions:
        name = session["participant"]
        if session["state"] != "finished":
            reasons.append({"participant": name, "rule": "finished", "value": session["state"], "threshold": ""})
        for check in checks_of.get(name, []):
            if not check["passed"]:
                told = {"value": check["score"], "threshold": check["threshold"]}
                reasons.append({"participant": name, "rule": check["name"], **told})
        scored = catches.get(name, [])
        # Only wrong answers count against a participant, not files that could not be shown.
        if session["state"] == "finished" and len(scored) - sum(scored) > catch.trials - catch.must:
            reasons.append({"participant": name, "rule": "catch", "value": sum(scored), "threshold": catch.must})
        if session["state"] == "finished":
            found = _declared(opened.design.config.exclude, main.get(name, []))
            reasons += [{"participant": name, **reason} for reason in found]
    return reasons


def _declared(exclude: Exclude, main: Sequence[Row]) -> Iterator[Row]:
    """What the declared rules have against a session with these main trials, which were seen and answered."""
    times = [trial["rt_ms"] for trial in main if trial["rt_ms"] is not None]
    if exclude.median_rt_ms is not None and times:
        (low, high), middle = exclude.median_rt_ms, median(times)
        if not low <= middle <= high:
            yield {"rule": "median_rt_ms", "value": middle, "threshold": f"{low:g} to {high:g}"}
    if exclude.timing_ok is not None and main:
        share = sum(trial["timing_ok"] is True for trial in main) / len(main)
        if share < exclude.timing_ok:
            yield {"rule": "timing_ok", "value": round(share, 4), "threshold": exclude.timing_ok}


def _anywhere(trial: Row, database: str) -> str:
    """A participant's name beside those of other databases, which count from p0001, too. Who is none is told, and has
    one name for one seed, in whatever database."""
    if trial["mode"] == "simulated":
        return f"{SIMULATED}{trial['participant']}"
    name = f"{trial['participant']}-{database}"
    return name if trial["mode"] in ("live", "lab") else f"{trial['mode']}-{name}"


def _seen(trial: Row) -> bool:
    """Whether it is a main trial that was shown and answered."""
    return trial["phase"] == "main" and trial["state"] == "answered" and trial["media_ok"] is not False


def _sessions(db: Connection, modes: Sequence[str] | None) -> list[Row]:
    rows = [dict(row) for row in db.execute(select(SESSION).order_by(SESSION.c.created_at)).mappings()]
    for i, row in enumerate(rows, 1):  # those who are gone keep their number, so that nobody else's ever changes
        row["participant"] = f"p{i:04d}"
    rows = [row for row in rows if row["state"] not in ("withdrawn", "purged") or row["list_number"] is not None]
    if modes is None:
        modes = [m for m in ("live", "lab") if any(r["mode"] == m for r in rows)] or ["pilot", "simulated"]
    return [row for row in rows if row["mode"] in modes]


def _trials(db: Connection, design: Design, session: Row) -> list[Row]:
    """A row for each trial of a session: the last answer to it, if there is one."""
    of = TRIAL.c.session_id == session["session_id"]
    answers = {
        row["trial_no"]: dict(row)
        for row in db.execute(
            select(RESPONSE).where(RESPONSE.c.session_id == session["session_id"]).order_by(RESPONSE.c.attempt)
        ).mappings()
    }
    rows = []
    for trial in db.execute(select(TRIAL).where(of).order_by(TRIAL.c.trial_no)).mappings():
        stimulus = design.by_id[trial["stimulus_id"]]
        rows.append(
            dict.fromkeys(TRIALS)
            | {"participant": session["participant"], "mode": session["mode"], "trial": trial["trial_no"]}
            | {"cell": stimulus.cell, "model": stimulus.model, "stage": stimulus.stage}
            | {name: trial[name] for name in TRIALS if name in trial}
            | _candidates(design, trial)
            | {name: value for name, value in answers.get(trial["trial_no"], {}).items() if name in TRIALS}
        )
    return rows


def _candidates(design: Design, trial: RowMapping) -> Row:
    told: Row = {}
    for place in PLACES if trial["first_id"] else ():
        stimulus = design.by_id[trial[f"{place}_id"]]
        told |= {place: stimulus.condition, f"{place}_cell": stimulus.cell}
    return told


def _joined(db: Connection, table: Any, sessions: Sequence[Row]) -> list[Row]:
    names = {session["session_id"]: session["participant"] for session in sessions}
    rows = (dict(row) for row in db.execute(select(table)).mappings())
    return [{**row, "participant": names[row["session_id"]]} for row in rows if row["session_id"] in names]


def _events(db: Connection, sessions: Sequence[Row]) -> list[Row]:
    rows = sorted(_joined(db, EVENT, sessions), key=lambda row: (row["participant"], row["seq"]))
    return [{key: value for key, value in row.items() if key != "session_id"} for row in rows]


def _included(trials: Iterable[Row]) -> list[Row]:
    return [row for row in trials if row["included"]]


def _model_vs_human(trials: Iterable[Row]) -> dict[str, str]:
    """A CSV for each participant, in the format of github.com/bethgelab/model-vs-human: response times in seconds."""
    by_participant: dict[str, list[Row]] = {}
    for row in _included(trials):
        rt = "na" if row["rt_ms"] is None else round(row["rt_ms"] / 1000, 4)
        told = {"subj": row["participant"], "session": 1, "trial": row["trial"], "rt": rt}
        told |= {"object_response": row["response"] or "na", "category": row["label"], "condition": row["condition"]}
        by_participant.setdefault(row["participant"], []).append({**told, "imagename": row["cell"]})
    return {name: _csv(MODEL_VS_HUMAN, rows, safe=False) for name, rows in by_participant.items()}


def _csv(columns: Sequence[str], rows: Iterable[Mapping[str, Any]], *, safe: bool = True) -> str:
    """safe: for spreadsheets, too; what only programs read keeps names as they are."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_cell(row.get(column), safe=safe) for column in columns] for row in rows)
    return text.getvalue()


def _cell(value: Any, *, safe: bool = True) -> Any:
    """A value as a cell. Where it is to be safe, text that a spreadsheet would take for a formula begins with an
    apostrophe."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return int(value)
    return f"'{value}" if safe and isinstance(value, str) and value.startswith(_DANGEROUS) else value
