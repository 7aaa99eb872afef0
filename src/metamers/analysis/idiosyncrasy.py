"""How much of a metamer only its own model recognizes."""

from collections.abc import Iterable, Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from metamers.analysis.bootstrap import counts, interval, parts_of, resample_weights
from metamers.analysis.designs import need_columns
from metamers.analysis.scores import is_metamer, scored, tidy
from metamers.errors import MetamersError

Array = NDArray[np.float64]

OTHER = "other model"
ANOTHER_SEED = "same architecture, another seed"
OTHER_ARCHITECTURE = "other architecture"
OTHER_TRAINING = "other training"
OTHER_BOTH = "other architecture and training"


def idiosyncrasy(
    responses: pd.DataFrame | Iterable[pd.DataFrame],
    models: pd.DataFrame | None = None,
    *,
    n_resamples: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """A model's recognition of its own metamers minus that by other models, per stage.

    The responses may come in parts, each all of some stages. `models` has the columns `model, architecture, training`
    and splits the other models by how they are related to the generating one; without it they are all `OTHER`. One row
    per model, stage and relation: `model, stage, relation, n_observers, own, other, idiosyncrasy, ci_low, ci_high`.
    `other` is the unweighted mean over observers, the 95 % interval is from resampling references. Natural stimuli and
    controls without a model are left out.

    Raises MetamersError as `participant_scores` does, where a model of the responses is missing from `models` or there
    twice, and where no model saw both its own metamers and those that another one saw.
    """
    parts = [responses] if isinstance(responses, pd.DataFrame) else responses
    rows = [row for part in parts for row in _rows(part, models, n_resamples, seed)]
    if not rows:
        raise MetamersError("no model saw its own metamers beside another model; let both recognize the run")
    return pd.DataFrame(rows)


def _rows(
    responses: pd.DataFrame, models: pd.DataFrame | None, n_resamples: int, seed: int
) -> Iterator[dict[str, object]]:
    need_columns(responses, ["reference"], "the table of responses")
    table = scored(tidy(responses))
    table = table[is_metamer(table) & (table["observer_kind"] == "model")]
    relations = _relations(table, models)
    table = table.assign(relation=[relations[pair] for pair in zip(table["model"], table["observer"], strict=True)])
    for (model, stage), cell in table.groupby(["model", "stage"], sort=False):
        of_observer = dict(zip(cell["observer"], cell["relation"], strict=True))
        names = list(of_observer)
        if model not in names:
            continue
        right, count = counts(cell, cell["observer"], cell["reference"])
        proportions = _proportions(right, count, np.ones((1, right.shape[1])))[0]
        rng = np.random.default_rng(seed)
        weights = (resample_weights(right.shape[1], len(part), rng) for part in parts_of(n_resamples))
        draws = np.concatenate([_proportions(right, count, some) for some in weights])
        own = names.index(str(model))
        del of_observer[str(model)]
        for relation in dict.fromkeys(of_observer.values()):
            others = [i for i, name in enumerate(names) if of_observer.get(name) == relation]
            low, high = interval(draws[:, own] - draws[:, others].mean(axis=1))
            mean = proportions[others].mean()
            row = {"model": model, "stage": stage, "relation": relation, "n_observers": len(others)}
            row |= {"own": proportions[own], "other": mean, "idiosyncrasy": proportions[own] - mean}
            yield row | {"ci_low": low, "ci_high": high}


def _proportions(right: Array, count: Array, weights: Array) -> Array:
    """Of each observer [n_resamples, observers], NaN where a resample has none of its references."""
    total = weights @ count.T
    hits = weights @ right.T
    proportions: Array = np.divide(hits, total, out=np.full(total.shape, np.nan), where=total > 0)
    return proportions


def _relations(table: pd.DataFrame, models: pd.DataFrame | None) -> dict[tuple[str, str], str]:
    pairs = set(zip(table["model"], table["observer"], strict=True))
    if models is None:
        return dict.fromkeys(pairs, OTHER)
    need_columns(models, ["model", "architecture", "training"], "the table of models")
    twice = models["model"].duplicated()
    if twice.any():
        raise MetamersError(f"the table of models has {models['model'][twice].iloc[0]!r} twice; keep one row for each")
    known = {row["model"]: (row["architecture"], row["training"]) for row in models.to_dict("records")}
    for name in sorted({name for pair in pairs for name in pair}):
        if name not in known:
            raise MetamersError(f"the table of models lacks {name!r}; give its architecture and training")
    words = {(True, True): ANOTHER_SEED, (False, True): OTHER_ARCHITECTURE, (True, False): OTHER_TRAINING}
    return {(a, b): words.get((known[a][0] == known[b][0], known[a][1] == known[b][1]), OTHER_BOTH) for a, b in pairs}
