"""`metamers verify` and `metamers report`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from metamers.cli.options import Device, Json
from metamers.cli.output import give_json, progress, say


def verify(run: Path, /, *, device: Device = "cpu", json: Json = False) -> int:
    """Read every written file again, run the models on it, and check measures, verdicts and hashes.

    Exits with 1 when a file was altered or a verdict does not hold.

    Parameters
    ----------
    run
        The folder of the run.
    """
    from metamers.matching import verify as verify_run

    with progress() as update:
        outcome = verify_run(run, device=device, progress=lambda done, total: update(done, total, "verified"))
    verdicts = {str(k): int(v) for k, v in outcome.matches.verdict.value_counts().items()}
    if json:
        give_json(
            {
                **{"run": str(run), "ok": outcome.ok, "cells": outcome.n_cells, "passed": outcome.n_passed},
                **{"verdicts": verdicts, "altered": list(outcome.altered), "changed": list(outcome.changed)},
            }
        )
        return 0 if outcome.ok else 1
    say(f"{outcome.n_cells} cells: " + ", ".join(f"{count} {verdict}" for verdict, count in verdicts.items()))
    for file in outcome.altered:
        say(f"altered or missing: {file}")
    for cell in outcome.changed:
        say(f"verdict does not hold: {cell}")
    say("every file is as recorded and every verdict holds" if outcome.ok else "the run does not verify")
    return 0 if outcome.ok else 1


def report(run: Path, /, *, standalone: Annotated[bool, Parameter(negative="")] = False, json: Json = False) -> int:
    """Write the page of a run: RUN/report.html, and its figures as SVG and PDF files.

    Parameters
    ----------
    run
        The folder of the run.
    standalone
        Embed every picture in the page (up to 50 MB), so that it can be sent alone.
    """
    from metamers.report import write_report
    from metamers.store import Store, build_tables

    build_tables(Store.open(run))
    page = write_report(run, standalone=standalone)
    if json:
        give_json({"run": str(run), "report": str(page), "bytes": page.stat().st_size})
    else:
        say(f"see {page}")
    return 0
