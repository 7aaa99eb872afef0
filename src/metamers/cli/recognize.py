"""`metamers recognize`."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from metamers.cli.make import Several, command_line
from metamers.cli.options import Device, InputSize, Json, Weights, parse_size
from metamers.cli.output import Update, give_json, plain_rows, progress, say, say_note
from metamers.errors import MetamersError

if TYPE_CHECKING:
    import pandas as pd

    from metamers.observers import ModelObserver
    from metamers.store import Store


def recognize(
    run: Path,
    /,
    *,
    by: Annotated[list[str], Several],
    labels: str = "identity",
    decision: str = "first",
    controls: Annotated[list[str] | None, Several] = None,
    weights: Weights = None,
    input_size: InputSize = None,
    device: Device = "cpu",
    report: bool = True,
    json: Json = False,
) -> int:
    """Let models name the metamers of a run and their references. What was answered before is not asked again.

    Parameters
    ----------
    run
        The folder of the run.
    by
        The observing models, named as for `metamers make`.
    labels
        What their outputs mean: identity (their own classes), imagenet16, cifar10 or FILE.json. The labels of the
        stimuli must be among these to be scored.
    decision
        Where several outputs share a label: first (the greatest of them decides) or mean-probability.
    controls
        What else to show, apart by spaces or commas: start (the noise that the search starts from), reference (as
        written; always shown) and untrained (metamers of the run's models with random weights, which are made first).
    report
        Write the page RUN/report.html at the end.
    """
    from metamers.labels import label_space
    from metamers.models import load_model, own_kind
    from metamers.observers import model_observer, recognize, require_scored
    from metamers.observers.shown import require_controls
    from metamers.store import Store, build_tables
    from metamers.study import run_untrained

    chosen = [name for text in controls or [] for name in text.split(",") if name]
    require_controls(chosen)
    if not by:
        raise MetamersError("--by names no model; give at least one, named as for `metamers make`")
    if len(by) > 1 and (weights or input_size):
        option = "--weights" if weights else "--input-size"
        raise MetamersError(f"{option} is for one model; call `metamers recognize` once for each")
    space, store = label_space(labels), Store.open(run)
    like = store.study()["models"][0]
    observers: dict[str, ModelObserver] = {}
    for spec in by:
        kind = own_kind(spec, like.get("kind", "image"), like.get("sample_rate"))
        model = load_model(spec, weights=weights, input_size=parse_size(input_size), device=device, **kind)
        observer = model_observer(store, model, space, decision, beside=observers.values())
        require_scored(store, observer)
        if observer.name in observers:
            say_note(f"{spec} is the same model as {observer.name}; it is asked once")
        observers.setdefault(observer.name, observer)
        for note in model.notes:
            say_note(f"{observer.name}: {note}")
    for observer in observers.values():
        _say_outdated(store, observer, chosen)
    _say_own_labels(store, {name: observer.space.name for name, observer in observers.items()})
    with progress() as update, store.locked(say_note):
        if "untrained" in chosen:
            run_untrained(store, command=command_line(), device=device, progress=update)
        new = {
            name: recognize(store, observer, controls=chosen, progress=_named(update, name))
            for name, observer in observers.items()
        }
        build_tables(store)
    return _finish(store, new, report=report, json=json)


def _say_own_labels(store: "Store", labels: Mapping[str, str]) -> None:
    """Which of the run's models has answered in other labels than the observers do now, so that it has no curve."""
    now = set(labels.values())
    for entry in store.study()["models"]:
        given = {record["labels"] for record in store.responses() if record["observer"] == entry["name"]}
        if entry["name"] not in labels and given and not given & now:
            say_note(
                f"{entry['name']}, whose metamers these are, has answered in the labels {', '.join(sorted(given))}; "
                f"for its own curve ask it again with these: --by {entry['spec']}"
            )


def _say_outdated(store: "Store", observer: "ModelObserver", controls: Collection[str]) -> None:
    """Which answers are replaced, and which are dropped, being to controls that are not shown now."""
    from metamers.observers import outdated

    counts: dict[tuple[str, str], Counter[str | None]] = {}
    for record, differing in outdated(store, observer):
        told = {key: values for key, values in differing.items() if key in _TOLD and values[0] is not None}
        then, now = (", ".join(_TOLD[key](values[i]) for key, values in told.items()) for i in (0, 1))
        choices = (then, now) if told else ("unknown choices", "those of now")
        counts.setdefault(choices, Counter()).update(row["control"] for row in record["responses"])
    for (then, now), of_control in counts.items():
        gone = [control for control in of_control if control is not None and control not in controls]
        n_gone = sum(of_control[control] for control in gone)
        if again := of_control.total() - n_gone:
            say_note(f"{again} answers of {observer.name} with {then} are replaced by those with {now}")
        if gone:
            say_note(
                f"{n_gone} answers of {observer.name} with {then} to the controls {' '.join(gone)} are dropped; "
                f"--controls {' '.join(gone)} asks for them with {now}"
            )


_TOLD: dict[str, Callable[[Any], str]] = {
    "labels": "labels '{}'".format,
    "decision": "decision {}".format,
    "fingerprint": lambda known: f"outputs for noise from {known[2]:g} to {known[3]:g}",
    "input_size": lambda size: f"input size {' x '.join(map(str, size))}",
}
"""What of a difference in what was asked is said, and how."""


def _named(update: Update, name: str) -> Callable[[int, int], None]:
    return lambda done, total: update(done, total, f"shown to {name}")


def _finish(store: "Store", new: dict[str, int], *, report: bool, json: bool) -> int:
    """Write the page, say who recognized what, and give the exit code."""
    from metamers.analysis import count_responses
    from metamers.observers.model_observer import some
    from metamers.report import write_report
    from metamers.study.analyses import renew_analyses, responses_in_parts, write_recognition

    matrix = write_recognition(store)
    renew_analyses(store, say_note)
    counts = count_responses(responses_in_parts(store))
    observers = []
    for name, count in new.items():
        own = counts[counts["observer"] == name]
        labels = own.loc[(own["n_unscored"] > 0) & (own["label"] != ""), "label"].unique().tolist()
        unscored = int(own["n_unscored"].sum())
        answered = int(own["n"].sum()) + unscored
        observers.append({"observer": name, "new": count, "answered": answered, "unscored": unscored})
        observers[-1] |= {"unscored_labels": labels}
        if unscored:
            say_note(f"{unscored} of {answered} answers of {name} have no score; labels: {some(labels)}")
    page = write_report(store.folder) if report else None
    summary = {
        **{"run": str(store.folder), "observers": observers},
        "matrix": plain_rows(matrix),
        **{"responses": str(store.folder / "tables" / "responses.csv"), "report": None if page is None else str(page)},
    }
    if json:
        give_json(summary)
    else:
        say(_table(matrix[matrix["observer"].isin(list(new))]))
        say(f"see {summary['report'] or summary['responses']}")
    return 0


def _table(matrix: "pd.DataFrame") -> str:
    """The proportions right, a line for each generating model and stage and a column for each observer."""
    where = (matrix["model"] + " " + matrix["stage"]).str.strip()
    shares = matrix.assign(where=where).pivot(index="where", columns="observer", values="proportion")
    shares = shares.loc[where.unique(), matrix["observer"].unique()]
    return str(shares.map(lambda share: "-" if share != share else f"{share:.0%}").rename_axis(None).to_string())
