"""`metamers status`."""

from pathlib import Path
from typing import Any

from metamers.cli.options import Json
from metamers.cli.output import give_json


def status(run: Path, /, *, json: Json = False) -> int:
    """Tell what of a run is done: cells that passed or failed (with reasons), those waiting, and the remaining time.

    Parameters
    ----------
    run
        The folder of the run.
    """
    from metamers.report.summaries import duration
    from metamers.store import Store
    from metamers.store.progress import progress_of

    found: dict[str, Any] = progress_of(Store.open(run))
    if json:
        give_json(found)
        return 0
    print(
        f"{found['done']:,} of {found['cells']:,} cells done: {found['passed']:,} passed, {found['failed']:,} failed, "
        f"{found['no_null']:,} without a null, {found['error']:,} could not be made"
    )
    for reason, count in found["reasons"].items():
        print(f"  {count:,}: {reason}")
    left = "" if found["seconds_left"] is None else f", about {duration(found['seconds_left'])} of computing"
    if found["waiting"] or found["running"]:
        owner = found["owner"]
        working = f"process {owner['process']} on {owner['host']} works on it" if owner else "nobody works on it"
        print(f"{found['running']:,} running, {found['waiting']:,} waiting{left}; {working}")
    return 0
