"""The statistics of a run that need nothing but it, each a table."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import chain, groupby
from typing import TYPE_CHECKING, Any

from metamers.errors import MetamersError
from metamers.store import (
    UNUSABLE,
    Lookup,
    Record,
    Store,
    chances,
    responses_table,
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
"""Responses, and metamers, that are in memory at once; those of one reference more at most."""


def run_analyses(store: Store, names: Sequence[str], say: Say) -> None:
    """Write `analyses/NAME.csv` for each analysis, and remove the others; of one that cannot be made, `say` why.

    Of several recipes, each has its own rows.
    """
    from metamers.report.results import read_results

    for path in (store.folder / "analyses").glob("*.csv"):
        path.unlink()
    if not names:
        return
    said = set[str]()

    def once(note: str) -> None:
        if note not in said:
            say(note)
        said.add(note)

    parts = [(recipe, Responses(part, once)) for recipe, part in by_recipe(read_results(store.folder))]
    for name in names:
        try:
            table = joined([(recipe, ANALYSES[name](part)) for recipe, part in parts])
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


def joined(tables: "Sequence[tuple[str, pd.DataFrame]]") -> "pd.DataFrame":
    """The table of each recipe, with a column `recipe` where there are several."""
    import pandas as pd

    if len(tables) == 1:
        return tables[0][1]
    return pd.concat([table.assign(recipe=recipe) for recipe, table in tables], ignore_index=True)


class Responses:
    """The responses of a run to the natural stimuli and to metamers that did not fail.

    Reading raises MetamersError where there is none, and for a trial that is there twice; `say` is told of observers
    none of whose responses is scored.
    """

    def __init__(self, results: "Results", say: Say) -> None:
        self.results, self._say = results, say

    def table(self) -> "pd.DataFrame":
        """All of them."""
        import pandas as pd

        return pd.concat(self._parts(), ignore_index=True)

    @cached_property
    def answers(self) -> "Answers":
        """They, counted."""
        from metamers.report.answers import Answers

        return Answers(self._parts())

    def by_reference(self) -> "Iterator[pd.DataFrame]":
        """Those of a stage to some references at a time, in the order of the study."""
        pairs = ((model, stage) for model, stages in self.results.stages.items() for stage in stages)
        places = {pair: i for i, pair in enumerate(pairs)}

        def key(row: Record) -> str:
            place = places.get((row["model"], row["stage"]), len(places)) if row["model"] else -1
            return f"{place:010d} " + json.dumps([row[name] for name in ("model", "stage", "reference")])

        parts = (part.astype(object).where(part.notna(), None) for part in self._parts())
        rows: Iterable[Record] = (row for part in parts for row in part.to_dict("records"))  # type: ignore[misc]
        found = sorted_on_disk(rows, key)
        return map(responses_table, _together((list(same) for _, same in groupby(found, key)), _ROWS))

    def _parts(self) -> "Iterator[pd.DataFrame]":
        from metamers.analysis.scores import require_kinds

        n_scored, known, first, n_twice = Counter[str](), Lookup(), "", 0
        for part in self.results.responses():
            require_kinds(part["observer_kind"].fillna("").unique())
            people = part["participant"].fillna(part["observer"])
            for *trial, who, observer in zip(part["cell"], part["stage"], people, part["observer"], strict=True):
                if not known.add(json.dumps([*trial, who, observer])):
                    first = first or f"participant {who!r} of {observer!r} answered {trial[0]} twice"
                    n_twice += 1
            n_scored.update({str(name): n for name, n in part.groupby("observer")["correct"].count().items()})
            yield part
        if n_twice:
            more = f" (and {n_twice - 1} more)" if n_twice > 1 else ""
            raise MetamersError(f"{first}{more}; keep one")
        if not n_scored:
            raise MetamersError("the run holds no responses; let observers see it: metamers recognize")
        for name in (name for name, n in n_scored.items() if not n):
            self._say(f"no response of {name} in {self.results.name} is scored: the stimuli have none of its labels")


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


def recognition(responses: Responses, **options: Any) -> "pd.DataFrame":
    """`bootstrap_recognition` of a run, `options` being its own."""
    import pandas as pd

    from metamers.analysis import bootstrap_recognition
    from metamers.analysis.recognition import in_order

    results, answers = responses.results, responses.answers
    guessing = results.chances(answers)
    parts = chain.from_iterable(answers.of(model) for model in ("", *results.stages))
    tables = [bootstrap_recognition(part, chance=guessing, **options) for part in parts]
    return in_order(pd.concat([table for table in tables if len(table)] or tables[:1]), results.stages)


def accuracy(responses: Responses) -> "pd.DataFrame":
    """`balanced_accuracy` of a run."""
    from metamers.analysis import balanced_accuracy_of_counts
    from metamers.analysis.recognition import in_order

    table = balanced_accuracy_of_counts(responses.answers.counts(by_label=True))
    return in_order(table, responses.results.stages)


def confusion(responses: Responses) -> "pd.DataFrame":
    """`confusion` of a run."""
    import pandas as pd

    from metamers.analysis import confusion_of_counts
    from metamers.analysis.recognition import in_order

    stages = responses.results.stages
    parts = chain.from_iterable(responses.answers.given(model) for model in ("", *stages))
    return in_order(pd.concat(map(confusion_of_counts, parts)), stages)


def consistency(responses: Responses) -> "pd.DataFrame":
    """`error_consistency` of a run."""
    from metamers.analysis import consistency_of_counts, count_shared

    return consistency_of_counts(map(count_shared, responses.by_reference()))


def idiosyncrasy(responses: Responses, **options: Any) -> "pd.DataFrame":
    """`idiosyncrasy` of a run, `options` being its own."""
    from metamers.analysis import idiosyncrasy as own_minus_other
    from metamers.analysis.recognition import in_order

    stages = responses.results.stages
    table = own_minus_other(chain.from_iterable(map(responses.answers.of, stages)), **options)
    return in_order(table, stages)


def merits(runs: "Sequence[Responses]", observers: str = "model", resamples: int = 1000) -> "pd.DataFrame":
    """The figure of merit of each model of the runs."""
    from metamers.analysis import compare_runs

    named = {str(run.results.store.folder): run for run in runs}
    answers: dict[str, Answers] = {}
    for name, run in named.items():
        try:
            answers[name] = run.answers
        except MetamersError as error:
            raise error if len(runs) == 1 else MetamersError(f"{name}: {error}") from None
    return compare_runs(
        {name: _model_by_model(run) for name, run in named.items()},
        stages={name: run.results.stages for name, run in named.items()},
        chance={name: run.results.chances(answers[name]) for name, run in named.items()},
        references={name: counted.references(observers) for name, counted in answers.items()},
        observer_kind=observers,
        n_resamples=resamples,
    )


def _model_by_model(responses: Responses) -> "Iterator[pd.DataFrame]":
    import pandas as pd

    return (pd.concat(responses.answers.with_natural(model)) for model in responses.results.stages)


def seeds(responses: Responses) -> "pd.DataFrame":
    """How different the metamers of one reference from several seeds are, in values and to the observers."""
    import pandas as pd

    from metamers.analysis import agreement_of_counts, pooled_distances, seed_distances
    from metamers.analysis.seeds import ONE_SEED

    results = responses.results
    stages = ((model, stage) for model, names in results.stages.items() for stage in names)
    parts = (_signals(results, model, stage) for model, stage in stages)
    distances = (list(map(seed_distances, found)) for found in parts)
    tables = [pooled_distances(found) for found in distances if found]
    if not tables:
        raise MetamersError(ONE_SEED)
    table = pd.concat(tables, ignore_index=True)
    if not any(len(part) for part in results.responses()):
        return table
    agreement = agreement_of_counts(chain.from_iterable(map(responses.answers.given, results.stages)))
    return table.merge(agreement.drop(columns=["n_references", "n_pairs"]), on=["model", "stage"], how="left")


ANALYSES: "dict[str, Callable[[Responses], pd.DataFrame]]" = {
    "recognition": recognition,
    "accuracy": accuracy,
    "confusion": confusion,
    "consistency": consistency,
    "idiosyncrasy": idiosyncrasy,
    "merit": lambda responses: merits([responses]),
    "seeds": seeds,
}
