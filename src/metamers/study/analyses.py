"""The statistics of a run that need nothing but it, each a table."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain, groupby
from typing import TYPE_CHECKING, Any

from metamers.errors import MetamersError
from metamers.store import (
    UNUSABLE,
    Lookup,
    Record,
    Store,
    chances,
    responses,
    sorted_on_disk,
    table_parts,
    write_whole,
)

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from metamers.report.answers import Answers
    from metamers.report.results import Results

Say = Callable[[str], None]

_ROWS, _SIGNALS = 500, 32
"""Responses, and metamers, that are in memory at once, or as many as one reference has."""


def run_analyses(store: Store, names: Sequence[str], say: Say) -> None:
    """Write `analyses/NAME.csv` for each analysis, and remove the others; of one that cannot be made, `say` why.

    Of several recipes, each has its own rows.
    """
    import pandas as pd

    from metamers.report.results import read_results

    for path in (store.folder / "analyses").glob("*.csv"):
        path.unlink()
    if not names:
        return
    results, said = read_results(store.folder), set[str]()

    def once(note: str) -> None:
        if note not in said:
            say(note)
        said.add(note)

    for name in names:
        try:
            tables = [(recipe, ANALYSES[name](part, once)) for recipe, part in by_recipe(results)]
            table = tables[0][1] if len(tables) == 1 else pd.concat([t.assign(recipe=recipe) for recipe, t in tables])
        except MetamersError as error:
            say(f"analysis {name}: {error}")
        else:
            content = table.to_csv(index=False, lineterminator="\n").encode()
            write_whole(store.folder / "analyses" / f"{name}.csv", content)


def renew_analyses(store: Store, say: Say) -> None:
    """Write the analyses of a run that are there anew, as its answers have changed."""
    run_analyses(store, [name for name in ANALYSES if (store.folder / "analyses" / f"{name}.csv").is_file()], say)


def responses_in_parts(store: Store) -> "Iterator[pd.DataFrame]":
    """The tables `responses` and `controls` of a run one after another, a part at a time, as far as scores need
    them."""
    needed = ["cell", "model", "stage", "observer", "observer_kind", "label", "correct"]
    for name in ("responses", "controls"):
        yield from table_parts(store, name, needed)


def write_recognition(store: Store) -> "pd.DataFrame":
    """Write `tables/recognition.csv`, generating model x stage x observer."""
    from metamers.analysis import balanced_accuracy_of_counts, count_responses, recognition_of_counts

    cells = (cell for batch in store.batches() for cell in batch["cells"])
    failed = Lookup((cell["cell"], "") for cell in cells if cell["verdict"] in UNUSABLE)
    counts = count_responses(responses_in_parts(store), failed)
    stages = {entry["name"]: entry["stages"] for entry in store.study()["models"]}
    matrix = recognition_of_counts(counts, float("nan"), stages=stages)
    matrix["chance"] = matrix["observer"].map(chances(store))
    balanced = balanced_accuracy_of_counts(counts)
    key = ["model", "stage", "observer"]
    matrix = matrix.merge(balanced[[*key, "balanced_accuracy"]], how="left", on=key)
    write_whole(store.folder / "tables" / "recognition.csv", matrix.to_csv(index=False).encode())
    return matrix


def by_recipe(results: "Results") -> "list[tuple[str, Results]]":
    """The results of each recipe by itself, as metamers of one model by two recipes are two kinds of metamers."""
    names = [recipe["name"] for recipe in results.study["recipes"]]
    return [(name, replace(results, cells=results.cells.of(recipe=name), recipe=name)) for name in names]


def scored_responses(results: "Results", say: Say) -> "pd.DataFrame":
    """The responses to the natural stimuli and to metamers that did not fail.

    Raises MetamersError where there is none, and for a trial that is there twice.
    """
    import pandas as pd

    return pd.concat(scored_parts(results, say), ignore_index=True)


def scored_parts(results: "Results", say: Say) -> "Iterator[pd.DataFrame]":
    """`scored_responses`, some hundred rows at a time."""
    n_scored, known = Counter[str](), Lookup()
    for part in results.responses():
        trials = part[["cell", "stage", "observer"]].assign(participant=part["participant"].fillna(part["observer"]))
        for cell, stage, observer, participant in trials.itertuples(index=False):
            if not known.add("\n".join((cell, stage, observer, participant))):
                raise MetamersError(f"participant {participant!r} of {observer!r} answered {cell} twice; keep one")
        n_scored.update({str(name): n for name, n in part.groupby("observer")["correct"].count().items()})
        yield part
    if not n_scored:
        raise MetamersError(f"{results.store.folder}: holds no responses; let observers see it: metamers recognize")
    for name in (name for name, n in n_scored.items() if not n):
        say(f"no response of {name} in {results.name} is scored: its labels are not those of the stimuli")


def _by_reference(results: "Results", say: Say) -> "Iterator[pd.DataFrame]":
    """`scored_responses`, those of a stage to the metamers of some references at a time, in the order of the study."""
    places = {pair: i for i, pair in enumerate((model, s) for model, names in results.stages.items() for s in names)}

    def key(row: Record) -> str:
        place = places.get((row["model"], row["stage"]), len(places)) if row["model"] else -1
        return f"{place:010d} {row['model']} {row['stage']} {row['reference']}"

    parts = (part.astype(object).where(part.notna(), None) for part in scored_parts(results, say))
    rows: Iterable[Record] = (row for part in parts for row in part.to_dict("records"))  # type: ignore[misc]
    found = sorted_on_disk(rows, key)
    return map(responses, _together((list(same) for _, same in groupby(found, key)), _ROWS))


def _together(groups: Iterable[list[Record]], n: int) -> Iterator[list[Record]]:
    """Groups one after another in lists of `n` or some more."""
    rows: list[Record] = []
    for group in groups:
        rows += group
        if len(rows) >= n:
            yield rows
            rows = []
    if rows:
        yield rows


def _signals(results: "Results", model: str, stage: str) -> "Iterator[pd.DataFrame]":
    """The metamers of a stage and their references as written, those of some references at a time: images in [0, 1],
    sounds in [-1, 1]."""
    import pandas as pd

    from metamers.stimuli.written import read_signals

    def read(file: str) -> "NDArray[np.float32]":
        signal: NDArray[np.float32] = read_signals([results.store.path(file)])[0].numpy()
        return signal

    cells = groupby(results.cells.of(model=model, stage=stage), lambda cell: cell.reference)
    several = (
        [
            {key: getattr(cell, key) for key in ("model", "stage", "recipe", "reference", "seed")}
            | {"signal": read(cell.file), "reference_signal": read(cell.reference_file)}
            for cell in same
            if cell.verdict not in UNUSABLE and cell.file and cell.reference_file
        ]
        for _, same in cells
    )
    return map(pd.DataFrame, _together((group for group in several if len(group) > 1), _SIGNALS))


def recognition(results: "Results", say: Say, **options: Any) -> "pd.DataFrame":
    """`bootstrap_recognition` of a run, `options` being its own."""
    import pandas as pd

    from metamers.analysis import bootstrap_recognition
    from metamers.analysis.recognition import in_order
    from metamers.report.answers import Answers

    answers = Answers(scored_parts(results, say))
    guessing = results.chances(answers)
    parts = chain.from_iterable(answers.of(model) for model in ("", *results.stages))
    tables = [bootstrap_recognition(part, chance=guessing, **options) for part in parts]
    return in_order(pd.concat([table for table in tables if len(table)] or tables[:1]), results.stages)


def accuracy(results: "Results", say: Say) -> "pd.DataFrame":
    """`balanced_accuracy` of a run."""
    from metamers.analysis import balanced_accuracy_of_counts, count_responses
    from metamers.analysis.recognition import in_order

    table = balanced_accuracy_of_counts(count_responses(scored_parts(results, say)))
    return in_order(table, results.stages)


def confusion(results: "Results", say: Say) -> "pd.DataFrame":
    """`confusion` of a run."""
    from metamers.analysis import confusion_of_counts, count_confusions
    from metamers.analysis.recognition import in_order

    return in_order(confusion_of_counts(count_confusions(scored_parts(results, say))), results.stages)


def consistency(results: "Results", say: Say) -> "pd.DataFrame":
    """`error_consistency` of a run."""
    from metamers.analysis import consistency_of_counts, count_shared

    return consistency_of_counts(map(count_shared, _by_reference(results, say)))


def idiosyncrasy(results: "Results", say: Say, **options: Any) -> "pd.DataFrame":
    """`idiosyncrasy` of a run, `options` being its own."""
    from metamers.analysis import idiosyncrasy as own_minus_other
    from metamers.report.answers import Answers

    answers = Answers(scored_parts(results, say))
    return own_minus_other(chain.from_iterable(map(answers.of, results.stages)), **options)


def _model_by_model(results: "Results", answers: "Answers") -> "Iterator[pd.DataFrame]":
    import pandas as pd

    return (pd.concat(answers.with_natural(model)) for model in results.stages)


def merits(runs: "Sequence[Results]", observers: str, resamples: int, say: Say) -> "pd.DataFrame":
    """The figure of merit of each model of the runs."""
    from metamers.analysis import compare_runs
    from metamers.report.answers import Answers

    answers = {str(r.store.folder): (r, Answers(scored_parts(r, say))) for r in runs}
    return compare_runs(
        {name: _model_by_model(r, found) for name, (r, found) in answers.items()},
        stages={name: r.stages for name, (r, _) in answers.items()},
        chance={name: r.chances(found) for name, (r, found) in answers.items()},
        observer_kind=observers,
        n_resamples=resamples,
    )


def seeds(results: "Results", say: Say) -> "pd.DataFrame":
    """How different the metamers of one reference from several seeds are, in values and to the observers."""
    import pandas as pd

    from metamers.analysis import agreement_of_counts, count_alike, pooled_distances, seed_distances

    stages = ((model, stage) for model, names in results.stages.items() for stage in names)
    parts = (_signals(results, model, stage) for model, stage in stages)
    distances = (list(map(seed_distances, found)) for found in parts)
    tables = [pooled_distances(found) for found in distances if found]
    if not tables:
        raise MetamersError("no reference has metamers from two seeds; make them with --seed 0 1")
    table = pd.concat(tables, ignore_index=True)
    if not any(len(part) for part in results.responses()):
        return table
    agreement = agreement_of_counts(map(count_alike, _by_reference(results, say)))
    return table.merge(agreement.drop(columns=["n_references", "n_pairs"]), on=["model", "stage"], how="left")


ANALYSES: "dict[str, Callable[[Results, Say], pd.DataFrame]]" = {
    "recognition": recognition,
    "accuracy": accuracy,
    "confusion": confusion,
    "consistency": consistency,
    "idiosyncrasy": idiosyncrasy,
    "merit": lambda results, say: merits([results], "model", 1000, say),
    "seeds": seeds,
}
