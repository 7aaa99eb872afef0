"""The statistics of a run that need nothing but it, each a table."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from metamers.errors import MetamersError
from metamers.store import UNUSABLE, Lookup, Store, chances, table_parts, write_whole

if TYPE_CHECKING:
    import pandas as pd

    from metamers.report.results import Results

Say = Callable[[str], None]


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

    Raises MetamersError where there is none.
    """
    table = results.responses
    if table.empty:
        raise MetamersError(f"{results.store.folder}: holds no responses; let observers see it: metamers recognize")
    table = results.without_failed(table)
    # A model sees a reference once for each input size of the generating models; once is enough.
    seen = ["cell", "stage", "observer", "participant"]
    table = table[~((table["stage"] == "natural") & (table["observer_kind"] == "model") & table.duplicated(seen))]
    scored = table.groupby("observer", sort=False)["correct"].count()
    for name in scored.index[scored == 0]:
        say(f"no response of {name} in {results.name} is scored: its labels are not those of the stimuli")
    return table


def _signals(results: "Results") -> "Iterator[pd.DataFrame]":
    """Metamers and their references as written, of one model and stage at a time: images in [0, 1], sounds in
    [-1, 1]."""
    import pandas as pd

    from metamers.stimuli.written import read_signals

    keys = ["model", "stage", "recipe", "reference", "seed"]
    for model, stages in results.stages.items():
        for stage in stages:
            rows = [
                {key: getattr(cell, key) for key in keys}
                | {"signal": read_signals([results.store.path(cell.file)])[0].numpy()}
                | {"reference_signal": read_signals([results.store.path(cell.reference_file)])[0].numpy()}
                for cell in results.cells.of(model=model, stage=stage)
                if cell.verdict not in UNUSABLE and cell.file and cell.reference_file
            ]
            yield pd.DataFrame(rows, columns=[*keys, "signal", "reference_signal"])


def merits(runs: "Sequence[Results]", observers: str, resamples: int, say: Say) -> "pd.DataFrame":
    """The figure of merit of each model of the runs."""
    from metamers.analysis import compare_runs

    return compare_runs(
        {str(r.store.folder): scored_responses(r, say) for r in runs},
        stages={str(r.store.folder): r.stages for r in runs},
        chance={str(r.store.folder): chances(r.store) for r in runs},
        observer_kind=observers,
        n_resamples=resamples,
    )


def seeds(results: "Results", say: Say) -> "pd.DataFrame":
    """How different the metamers of one reference from several seeds are, in values and to the observers."""
    import pandas as pd

    from metamers.analysis import seed_agreement, seed_distances

    several = (part for part in _signals(results) if part.duplicated(["recipe", "reference"]).any())
    found = [seed_distances(part) for part in several]
    if not found:
        raise MetamersError("no reference has metamers from two seeds; make them with --seed 0 1")
    distances = pd.concat(found, ignore_index=True)
    if results.responses.empty:
        return distances
    agreement = seed_agreement(scored_responses(results, say)).drop(columns=["n_references", "n_pairs"])
    return distances.merge(agreement, on=["model", "stage"], how="left")


def _recognition(results: "Results", say: Say) -> "pd.DataFrame":
    from metamers.analysis import bootstrap_recognition

    responses = scored_responses(results, say)
    return bootstrap_recognition(responses, chance=chances(results.store), stages=results.stages)


def _of_responses(name: str) -> "Callable[[Results, Say], pd.DataFrame]":
    def table(results: "Results", say: Say) -> "pd.DataFrame":
        from metamers import analysis

        made: pd.DataFrame = getattr(analysis, name)(scored_responses(results, say))
        return made

    return table


ANALYSES: "dict[str, Callable[[Results, Say], pd.DataFrame]]" = {
    "recognition": _recognition,
    "accuracy": _of_responses("balanced_accuracy"),
    "confusion": _of_responses("confusion"),
    "consistency": _of_responses("error_consistency"),
    "idiosyncrasy": _of_responses("idiosyncrasy"),
    "merit": lambda results, say: merits([results], "model", 1000, say),
    "seeds": seeds,
}
