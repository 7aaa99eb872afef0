"""The statistics of a run that need nothing but it, each a table."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from metamers.errors import MetamersError
from metamers.store import Store, chances, write_whole

if TYPE_CHECKING:
    import pandas as pd

    from metamers.report.results import Results

Say = Callable[[str], None]


def run_analyses(store: Store, names: Sequence[str], say: Say) -> None:
    """Write `analyses/NAME.csv` for each analysis; of one that cannot be made of this run, `say` why, and remove it."""
    from metamers.report.results import read_results

    results = read_results(store.folder) if names else None
    for name in names:
        path = store.folder / "analyses" / f"{name}.csv"
        try:
            assert results is not None
            table = ANALYSES[name](results, say)
        except MetamersError as error:
            say(f"analysis {name}: {error}")
            path.unlink(missing_ok=True)
        else:
            write_whole(path, table.to_csv(index=False, lineterminator="\n").encode())


def scored_responses(results: "Results", say: Say) -> "pd.DataFrame":
    """The responses to the natural stimuli and to metamers that did not fail.

    Raises MetamersError where there is none.
    """
    table = results.responses
    if table.empty:
        raise MetamersError(f"{results.store.folder}: holds no responses; let observers see it: metamers recognize")
    table = table[~table["cell"].isin(results.failed)]
    # A model sees a reference once for each input size of the generating models; once is enough.
    seen = ["cell", "stage", "observer", "participant"]
    table = table[~((table["stage"] == "natural") & (table["observer_kind"] == "model") & table.duplicated(seen))]
    scored = table.groupby("observer", sort=False)["correct"].count()
    for name in scored.index[scored == 0]:
        say(f"no response of {name} in {results.name} is scored: its labels are not those of the stimuli")
    return table


def signals(results: "Results") -> "pd.DataFrame":
    """Metamers and their references as written: images in [0, 1], sounds in [-1, 1]."""
    import pandas as pd

    from metamers.stimuli.written import read_signals

    keys, failed = ["model", "stage", "recipe", "reference", "seed"], results.failed
    made = [
        {key: cell[key] for key in keys}
        | {"signal": read_signals([results.store.path(cell["file"])])[0].numpy()}
        | {"reference_signal": read_signals([results.store.path(cell["reference_file"])])[0].numpy()}
        for cell in results.cells
        if cell["file"] and cell["cell"] not in failed
    ]
    return pd.DataFrame(made, columns=[*keys, "signal", "reference_signal"])


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
    from metamers.analysis import seed_agreement, seed_distances

    distances = seed_distances(signals(results))
    if results.responses.empty:
        return distances
    agreement = seed_agreement(scored_responses(results, say)).drop(columns=["n_references", "n_pairs"])
    return distances.merge(agreement, on=["model", "stage"], how="left")


def _recognition(results: "Results", say: Say) -> "pd.DataFrame":
    from metamers.analysis import bootstrap_recognition

    return bootstrap_recognition(scored_responses(results, say), chance=chances(results.store))


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
