"""`metamers import-responses`."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from metamers.cli.make import Several
from metamers.cli.options import Json
from metamers.cli.output import give_json, say, say_note
from metamers.errors import MetamersError

if TYPE_CHECKING:
    from metamers.store import Record, Store


def import_responses(
    run: Path,
    /,
    *files: Path,
    columns: Annotated[list[str] | None, Several] = None,
    rt_unit: str | None = None,
    labels: str | None = None,
    jatos: Path | None = None,
    replace: Annotated[bool, Parameter(negative="")] = False,
    report: bool = True,
    json: Json = False,
) -> int:
    """Put what people answered into a run: CSV files of model-vs-human, of this package, or of one's own columns.

    What was imported before is not imported again.

    Parameters
    ----------
    run
        The folder of the run whose stimuli people saw.
    files
        CSV files, a row for each trial. Stimuli are named by their file in the run, or by their reference and, as the
        condition, their stage.
    columns
        For files of one's own: FIELD=COLUMN for participant, stimulus, response and, where there are any, condition,
        label, rt, session and trial.
    rt_unit
        The unit of response times: s or ms (model-vs-human: s).
    labels
        What people could choose from: imagenet16, cifar10 or FILE.json; else all labels that are seen.
    jatos
        The key of the archive that `metamers experiment jatos` made; the files are results of JATOS, as plain text.
    replace
        Put corrected files in the place of those of the same names, in whatever folder, that were imported before.
    report
        Write the page RUN/report.html at the end.
    """
    from metamers.labels import label_space
    from metamers.observers import import_responses
    from metamers.observers.model_observer import some
    from metamers.store import SIMULATED, Store, build_tables, read_table
    from metamers.study.analyses import renew_analyses

    if not files:
        raise MetamersError("no file of responses is named; give at least one CSV file after the run")
    store, fields = Store.open(run), None if columns is None else _fields(columns)
    space = label_space(labels) if labels else None
    with _tables(files, jatos, columns or rt_unit) as tables, store.locked(say_note):
        known = {record["id"]: record for record in store.responses()}
        records = import_responses(store, tables, columns=fields, rt_unit=rt_unit, space=space, replace=replace)
        _say_replaced(store, known.values())
        build_tables(store)
        renew_analyses(store, say_note)
        table = read_table(store, "responses")
    page = None
    if report:
        from metamers.report import write_report

        page = write_report(store.folder)
    people = table[table["observer_kind"] == "human"]
    summary = {
        **{"run": str(run), "trials": sum(len(record["responses"]) for record in records)},
        "new": sum(len(record["responses"]) for record in records if record["id"] not in known),
        **{"participants": int(people["participant"].nunique()), "unscored": int(people["correct"].isna().sum())},
        "no_answer": int(people["response"].isna().sum()),
        **{"responses": str(store.folder / "tables" / "responses.csv"), "report": None if page is None else str(page)},
    }
    strange = sorted(set(people["response"].dropna()) - set(table["label"].dropna()))
    if strange and not labels:
        say_note(
            f"no label of a stimulus: {some(strange)}; they count as wrong answers; --labels names the choices "
            "(with --replace)"
        )
    if simulated := people.loc[people["participant"].str.startswith(SIMULATED), "participant"].nunique():
        say_note(f"{simulated} of the participants are simulated: their answers are nobody's")
    if pilots := people.loc[people["participant"].str.startswith("pilot-"), "participant"].nunique():
        say_note(f"{pilots} of the participants are of pilots")
    if summary["no_answer"]:
        say_note(f"{summary['no_answer']} trials without an answer count as wrong")
    if json:
        give_json(summary)
    else:
        say(f"{summary['new']} new of {summary['trials']} trials; the run has {summary['participants']} participants")
        say(f"see {summary['report'] or summary['responses']}")
    return 0


@contextmanager
def _tables(files: Sequence[Path], key: Path | None, described: object) -> Iterator[Sequence[Path]]:
    """The files; where they are results of JATOS, a table of what counts in them."""
    if key is None:
        yield files
        return
    if described:
        raise MetamersError(
            "--jatos: the columns and units of its results are known; leave out --columns and --rt-unit"
        )
    if find_spec("sqlalchemy") is None:
        raise MetamersError("--jatos needs the extra 'web': pip install 'metamers[web]'")
    from metamers.experiment.jatos_results import score

    with TemporaryDirectory() as scratch:
        scored = score(files, key, Path(scratch))
        for name, why in scored.excluded.items():
            say_note(f"participant {name} does not count ({why})")
        if scored.deleted:
            say_note(f"{scored.deleted} of {scored.participants} participants had their data deleted")
        for where in scored.conflicts:
            say_note(f"{where}: differs from what the same participant's page sent before; the first stands")
        yield [scored.table]


def _say_replaced(store: "Store", before: Iterable["Record"]) -> None:
    left = {record["id"] for record in store.responses()}
    for record in before:
        if record["id"] not in left:
            participants = {row["participant"] for row in record["responses"]}
            say_note(
                f"{len(record['responses'])} answers of {len(participants)} participants from {record['source']} "
                "are replaced"
            )


def _fields(columns: list[str]) -> dict[str, str]:
    pairs = [text.partition("=") for text in columns]
    for name, _, column in pairs:
        if not name or not column:
            raise MetamersError(f"--columns {name}: give FIELD=COLUMN, e.g. participant=subject")
    return {name: column for name, _, column in pairs}
