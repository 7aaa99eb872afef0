"""How far an experiment is: for researchers, while it runs."""

import io
import tempfile
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from metamers.errors import MetamersError
from metamers.experiment.database import CONFLICT, reading
from metamers.experiment.export import collect, exclusions, export
from metamers.experiment.opened import Opened

MODES = ("live", "lab", "pilot", "simulated")


def summary_of(opened: Opened) -> dict[str, Any]:
    """Sessions by mode and state; of those that finished, the answered main trials by condition, and how many sessions
    saw each (reference, condition), least and most; who, of those that ended, does not count and why; how many events
    were refused."""
    with reading(opened.engine) as db:
        sessions, trials, checks = collect(db, opened.design, MODES)
        conflicts = db.execute(select(func.count()).select_from(CONFLICT)).scalar_one()
    whole = {session["participant"] for session in sessions if session["state"] == "finished"}
    states: dict[str, Counter[str]] = {}
    coverage: dict[str, Any] = {}
    for session in sessions:
        states.setdefault(session["mode"], Counter())[session["state"]] += 1
    for mode in states:
        seen = [
            row
            for row in trials
            if (row["mode"], row["phase"], row["state"]) == (mode, "main", "answered") and row["participant"] in whole
        ]
        cells = Counter((row["reference"], row["condition"]) for row in seen)
        each = [cells[cell] for cell in opened.design.cells]
        answers = dict(Counter(row["condition"] for row in seen))
        coverage[mode] = {"answers": answers, "least": min(each), "most": max(each)}
    by_name = {session["participant"]: session["mode"] for session in sessions}
    going = {s["participant"] for s in sessions if s["state"] in ("created", "running")}
    reasons = [row for row in exclusions(opened, sessions, trials, checks) if row["participant"] not in going]
    excluded = [{**row, "mode": by_name[row["participant"]]} for row in reasons]
    told = {"sessions": states, "coverage": coverage, "excluded": excluded, "conflicts": conflicts}
    return {"name": opened.design.config.name, **told}


def zipped(opened: Opened) -> bytes:
    """What `export` writes by default, as a ZIP archive; empty where nobody has taken part."""
    content = io.BytesIO()
    with tempfile.TemporaryDirectory() as scratch, zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        folder = Path(scratch) / "data"
        try:
            export(opened, folder)
        except MetamersError:
            return content.getvalue()
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(folder))
    return content.getvalue()
