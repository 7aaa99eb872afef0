"""One figure of merit per model: how much of its metamers others recognize, over all of its stages."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from metamers.analysis.bootstrap import counts, interval, parts_of, resample_weights
from metamers.analysis.designs import need_columns
from metamers.analysis.recognition import NATURAL
from metamers.analysis.scores import chances_of, is_metamer, scored, tidy
from metamers.errors import MetamersError

Array = NDArray[np.float64]
_Drawn = tuple[list[str], NDArray[np.uint16]]
COLUMNS = (
    "model",
    "n_stages",
    "n_observers",
    "n_references",
    "n_references_least",
    "merit",
    "ci_low",
    "ci_high",
    "note",
)


def figure_of_merit(
    responses: pd.DataFrame,
    *,
    stages: Mapping[str, Sequence[str]] | None = None,
    chance: float | Mapping[str, float] | None = None,
    observer_kind: str | None = None,
    n_resamples: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """The area under the other observers' recognition over stage depth, per generating model.

    At every stage, recognition is the unweighted mean of the proportions correct over all observers but the generating
    model (`observer_kind`: only people, or only models), scaled so that 0 is chance (`chance`: one for all, or by
    observer; None: `chance_level`) and 1 is what the observers of this stage reach on the natural stimuli. Depth is 0
    for the natural stimuli and 1 for the last stage, with stages in between at equal distances; the area is by the
    trapezoid rule. So 1 means that metamers of every stage are recognized like natural stimuli, and 0 that none is
    recognized better than by guessing.

    One row per model: `model, n_stages, n_observers, n_references`, `n_references_least` (of the stage that has the
    least, whose share of the figure rests on no more), `merit, ci_low, ci_high` (95 %, resampling references, the same
    for natural stimuli and all stages), `note`. Where observers are not above chance on natural stimuli the figure is
    NaN, and `note` says so. `stages` gives the models' stages in order; without it the order is
    that of first appearance.

    Raises MetamersError as `participant_scores` does, and where no other observer saw metamers and natural stimuli.
    """
    rows = _merits([responses], stages or {}, chance, observer_kind, n_resamples, seed)
    return pd.DataFrame([{name: row[name] for name in COLUMNS} for row in rows], columns=list(COLUMNS))


def compare_runs(
    runs: Mapping[str, pd.DataFrame | Iterable[pd.DataFrame]],
    *,
    stages: Mapping[str, Mapping[str, Sequence[str]]] | None = None,
    chance: float | Mapping[str, Mapping[str, float]] | None = None,
    references: Mapping[str, Collection[str]] | None = None,
    observer_kind: str | None = None,
    n_resamples: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """The figures of merit of any number of runs (name to responses), each model's beside the first one's.

    The columns of `figure_of_merit` after `run`, then `difference, difference_low, difference_high`: from the first
    row's, with its 95 % interval; runs with the same references resample them together. `stages` goes by run, and so
    does `chance` by observer: one name may stand for other choices in another run. Responses may come in parts, each
    to the natural stimuli and to all metamers of some models, with the `references` of the run. Raises what
    `figure_of_merit` does, naming the run.
    """
    rows = []
    for name, responses in runs.items():
        try:
            guessing = chance.get(name) if isinstance(chance, Mapping) else chance
            parts = [responses] if isinstance(responses, pd.DataFrame) else responses
            drawn = None if references is None else _drawn(references[name], n_resamples, seed)
            found = _merits(parts, (stages or {}).get(name, {}), guessing, observer_kind, n_resamples, seed, drawn)
        except MetamersError as error:
            raise MetamersError(f"{name}: {error}") from None
        rows += [{"run": name} | row for row in found]
    for row in rows:
        low, high = interval(row["draws"] - rows[0]["draws"])
        same = row is rows[0]
        row["difference"] = row["merit"] - rows[0]["merit"]
        row["difference_low"], row["difference_high"] = (0.0, 0.0) if same else (low, high)
    columns = ["run", *COLUMNS, "difference", "difference_low", "difference_high"]
    return pd.DataFrame([{name: row[name] for name in columns} for row in rows], columns=columns)


def _merits(
    parts: Iterable[pd.DataFrame],
    stages: Mapping[str, Sequence[str]],
    chance: float | Mapping[str, float] | None,
    observer_kind: str | None,
    n_resamples: int,
    seed: int,
    drawn: _Drawn | None = None,
) -> list[dict[str, Any]]:
    rows = []
    for responses in parts:
        need_columns(responses, ["reference"], "the table of responses")
        guessing = chances_of(responses, chance)
        table = scored(tidy(responses))
        if observer_kind is not None:
            table = table[table["observer_kind"] == observer_kind]
        resampled = drawn or _drawn(table["reference"], n_resamples, seed)
        natural = table[table["stage"] == NATURAL]
        for model, metamers in table[is_metamer(table)].groupby("model", sort=False):
            metamers = metamers[metamers["observer"] != model]
            seen = set(metamers["observer"]) & set(natural["observer"])
            if seen:
                metamers = metamers[metamers["observer"].isin(seen)]
                order = [s for s in stages.get(str(model), ()) if s in set(metamers["stage"])]
                order = list(dict.fromkeys([*order, *metamers["stage"]]))
                both = pd.concat([natural[natural["observer"].isin(seen)], metamers])
                rows.append({"model": model} | _merit(both, order, *resampled, guessing))
    if not rows:
        who = {"human": "person", "model": "other model"}.get(observer_kind or "", "other observer")
        raise MetamersError(
            f"no {who} saw both metamers and natural stimuli, so there is no figure of merit; let one name them"
        )
    return rows


def _merit(
    table: pd.DataFrame,
    stages: Sequence[str],
    references: list[str],
    weights: NDArray[np.uint16],
    guessing: Mapping[str, float],
) -> dict[str, Any]:
    scaled = [_scaled(table, stage, references, weights, guessing) for stage in (NATURAL, *stages)]
    areas = np.mean([(left + right) / 2 for left, right in pairwise(scaled)], axis=0)
    low, high = interval(areas[1:])
    of_model = table[is_metamer(table)]
    return {
        **{"n_stages": len(stages), "n_observers": of_model["observer"].nunique()},
        "n_references": of_model["reference"].nunique(),
        "n_references_least": int(of_model.groupby("stage")["reference"].nunique().min()),
        **{"merit": float(areas[0]), "ci_low": low, "ci_high": high},
        "note": "" if np.isfinite(areas[0]) else "undefined: the observers are not above chance on natural stimuli",
        "draws": areas[1:],
    }


def _scaled(
    table: pd.DataFrame, stage: str, references: list[str], weights: NDArray[np.uint16], guessing: Mapping[str, float]
) -> Array:
    """Recognition at a stage, 0 for chance and 1 for what the observers of this stage reach on natural stimuli."""
    here = table[table["stage"] == stage]
    who = list(dict.fromkeys(here["observer"]))
    chance = float(np.mean([guessing[name] for name in who]))
    natural = table[(table["stage"] == NATURAL) & table["observer"].isin(who)]
    above = _mean_recognition(natural, references, weights) - chance
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(above > 0, (_mean_recognition(here, references, weights) - chance) / above, np.nan)


def _mean_recognition(table: pd.DataFrame, references: list[str], weights: NDArray[np.uint16]) -> Array:
    """The unweighted mean over observers [1 + n_resamples], first of the references as they are."""
    proportions = []
    for _, answers in table.groupby("observer", sort=False):
        right, count = counts(answers, answers["observer"], answers["reference"])
        places = pd.Index(references).get_indexer(pd.Index(dict.fromkeys(answers["reference"])))
        drawn = (weights[part.start : part.stop, places].astype(float) for part in parts_of(len(weights)))
        total, hits = np.concatenate([some @ np.stack([count[0], right[0]], axis=1) for some in drawn]).T
        proportions.append(np.divide(hits, total, out=np.full(len(total), np.nan), where=total > 0))
    mean: Array = np.mean(proportions, axis=0)
    return mean


def _drawn(references: Iterable[str], n_resamples: int, seed: int) -> _Drawn:
    """The references, and how often each counts: [1 + n_resamples, references], first once each."""
    names = sorted(set(references))
    weights, rng = np.ones((1 + n_resamples, len(names)), np.uint16), np.random.default_rng(seed)
    for part in parts_of(n_resamples):
        weights[1 + part.start : 1 + part.stop] = resample_weights(len(names), len(part), rng)
    return names, weights
