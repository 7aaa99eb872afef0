"""From references to judged metamers."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from metamers import store
from metamers.errors import MetamersError
from metamers.matching import (
    PUBLISHED,
    Criterion,
    NullDistribution,
    Representation,
    judge,
    match,
    null_distribution,
    represent,
)
from metamers.matching.null import MIN_GIVEN, MIN_OWN, different
from metamers.models import StagedModel, fit_to_model, fitted
from metamers.stimuli import StimulusSet
from metamers.stimuli.written import VALUE_RANGES, as_written
from metamers.synthesis.engine import Progress, Search, Trace, search
from metamers.synthesis.recipe import Recipe
from metamers.synthesis.recipes import recipe_named
from metamers.synthesis.starts import START_NOISE, cell_generator, cell_seed
from metamers.synthesis.units import require_units

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Result:
    """Metamers of N references and their judgement.

    signals: what the written files decode to, of images float [N, C, H, W] in [0, 1], of sounds float [N, T] in
    [-1, 1]; raw: the values before rounding.
    matches: the table `matches`, one row per reference. cells: the same with traces and reasons, as stored. notes: what
    must be said of how they were made.
    """

    signals: Tensor = field(repr=False)
    raw: Tensor = field(repr=False)
    matches: "pd.DataFrame"
    cells: list[dict[str, Any]] = field(repr=False)
    null: NullDistribution | None = field(repr=False)
    notes: tuple[str, ...] = ()


def synthesize(
    model: StagedModel,
    stimuli: StimulusSet,
    stage: str | Sequence[str],
    *,
    recipe: str | Recipe = "fast",
    seed: int = 0,
    null: StimulusSet | NullDistribution | None = None,
    criterion: Criterion | None = None,
    objective: str | Callable[[Tensor], Tensor] = "activation",
    stage_weights: Sequence[float] = (),
    channels: Sequence[int] | None = None,
    tokens: Sequence[int] | None = None,
    start: StimulusSet | str | None = None,
    batch_size: int = 16,
    progress: Progress = lambda step, limit, active: None,
    **options: Any,
) -> Result:
    """Make a metamer of each stimulus at one stage of a model (or at several together) and judge it as written.

    recipe: a name of `RECIPES` or a `Recipe`; `options` change its fields. null: the stimuli whose pairs give the null
    distribution, or one already computed; by default `stimuli` themselves where at least 200 are different, else the
    verdict is `no null`. criterion: by default all measures above the null's maximum and, for a model with a decision,
    the same decision. start: `noise` or `pink`, or signals to start from, one for each stimulus.

    Raises MetamersError for an unknown stage, recipe or option, for stimuli that do not fit the model, and for a null
    distribution of another model or stage.

    >>> import metamers
    >>> images = metamers.load_stimuli("bundled:pictograms?n=2")
    >>> result = metamers.synthesize(metamers.load_model("bundled:picto-resnet"), images, "layer1", steps=20)
    >>> result.signals.shape, list(result.matches.verdict)
    (torch.Size([2, 3, 64, 64]), ['no null', 'no null'])
    """
    if isinstance(start, str):
        options["start"], start = start, None
    chosen = recipe_named(recipe, stimuli.kind).with_options(**options)
    representation = Representation(
        (stage,) if isinstance(stage, str) else tuple(stage),
        tuple(stage_weights),
        objective,
        None if channels is None else tuple(channels),
        None if tokens is None else tuple(tokens),
    )
    if not len(stimuli):
        raise MetamersError(f"'{stimuli.name}': no stimuli; give at least one")
    if start is not None:
        _require_one_each(start, len(stimuli))
    model, stimuli = fit_to_model(model, stimuli.as_played())
    require_units(chosen, representation)
    represent(model, stimuli.read([0]), representation)  # what is unknown shows before work is spent
    criterion = default_criterion(model) if criterion is None else criterion
    null = _null(model, representation, stimuli, null)
    parts = [
        synthesize_batch(
            model,
            representation,
            stimuli[i : i + batch_size],
            recipe=chosen,
            seed=seed,
            null=null,
            criterion=criterion,
            start=None if start is None else start[i : i + batch_size],
            progress=progress,
        )
        for i in range(0, len(stimuli), batch_size)
    ]
    cells = [cell for part in parts for cell in part.cells]
    signals, raw = torch.cat([p.signals for p in parts]), torch.cat([p.raw for p in parts])
    notes = tuple(dict.fromkeys(note for part in parts for note in part.notes))
    if null is None and criterion.above:
        notes += (f"no null distribution: give null= with {MIN_GIVEN} different stimuli, or make {MIN_OWN} at once",)
    return Result(signals, raw, store.matches(cells), cells, null, notes)


def synthesize_batch(
    model: StagedModel,
    representation: Representation,
    stimuli: StimulusSet,
    *,
    recipe: Recipe,
    seed: int,
    null: NullDistribution | None,
    criterion: Criterion,
    start: StimulusSet | None = None,
    progress: Progress = lambda step, limit, active: None,
) -> Result:
    """One batch of cells of one model, representation, recipe and seed; arguments as of `synthesize`, resolved."""
    if not criterion.above and not (criterion.same_decision and model.has_decision):
        raise MetamersError(f"criterion '{criterion}' leaves nothing to hold for {model.name}; add AboveNull()")
    begun = time.monotonic()
    references = stimuli.read()
    cells = [store.Cell(model.name, representation.name, recipe.name, reference, seed) for reference in stimuli.ids]
    given = None if start is None else fitted(start, model)
    starts = start_signals(recipe, cells, tuple(references.shape[1:]), given, kind=model.kind)

    def is_metamer(rows: Tensor, signals: Tensor) -> Tensor:
        evidence = match(model, representation, references[rows], as_written(signals.cpu(), model.kind))
        return criterion.holds(evidence, null, len(rows))

    judged_early = is_metamer if null is not None or not criterion.above else None
    searched = _prepared(model, recipe.channels_last, recipe.compile)
    seeds = [cell_seed(cell) for cell in cells]
    found = search(
        searched, representation, references, starts, recipe, judged_early, progress, seeds, stimuli.sample_rate
    )
    signals = as_written(found.raw, model.kind)
    judgements = judge(match(model, representation, references, signals), criterion, null)
    seconds = (time.monotonic() - begun) / len(cells)
    limits = {f"null_{m}": None if null is None else null.quantile(m) for m in ("pearson_r", "spearman_rho", "snr_db")}
    records = []
    for i, (cell, judgement) in enumerate(zip(cells, judgements, strict=True)):
        verdict, reason = judgement.verdict, judgement.reason
        if found.problems[i] is not None:
            verdict, reason = "error", found.problems[i]
        records.append(
            {
                **{"cell": cell.id, "model": cell.model, "stage": cell.stage, "recipe": cell.recipe},
                **{"reference": cell.reference, "seed": cell.seed, "label": stimuli.labels[i]},
                **judgement.measures,
                **limits,
                "null_n_images": None if null is None else null.n_images,
                "null_n_pairs": None if null is None else null.n_pairs,
                **{"same_class": judgement.same_class, "verdict": verdict, "reason": reason},
                **{"n_steps": found.n_steps[i], "seconds": round(seconds, 3), "trace": _trace(found, i)},
            }
        )
    notes = _relu_note(representation, found.relus_passed)
    return Result(signals, found.raw, store.matches(records), records, null, notes)


@lru_cache(maxsize=1)
def _prepared(model: StagedModel, channels_last: bool, compiled: bool) -> StagedModel:
    """The model as a recipe wants it while searching; kept, as compiling takes long."""
    model = model.channels_last() if channels_last else model
    return model.compiled() if compiled else model


def start_signals(
    recipe: Recipe, cells: Sequence[store.Cell], shape: tuple[int, ...], start: StimulusSet | None, *, kind: str
) -> Tensor:
    """Where each cell's search starts: noise from the cell's own seed, or the given stimuli. Float [N, *shape]."""
    if start is None:
        begin, bounds = START_NOISE[recipe.start], VALUE_RANGES[kind]
        return torch.stack([begin(shape, recipe.start_std, cell_generator(cell), bounds) for cell in cells])
    _require_one_each(start, len(cells))
    return start.read()


def choose_null_set(stimuli: StimulusSet, given: StimulusSet | None) -> StimulusSet | None:
    """The stimuli for the null: those given, where at least 50 are different; else the stimuli themselves where at
    least 200 are; else None."""
    if given is not None:
        given = given.as_played()
        fitted = given if stimuli.size is None else given.fit(stimuli.size, stimuli.channels, stimuli.sample_rate)
        return fitted if len(different(fitted)) >= MIN_GIVEN else None
    return stimuli if len(stimuli) >= MIN_OWN and len(different(stimuli)) >= MIN_OWN else None


def default_criterion(model: StagedModel) -> Criterion:
    """The published criterion, without the decision for a model that makes none."""
    return PUBLISHED if model.has_decision else Criterion(PUBLISHED.above)


def _null(
    model: StagedModel,
    representation: Representation,
    stimuli: StimulusSet,
    given: StimulusSet | NullDistribution | None,
) -> NullDistribution | None:
    if isinstance(given, NullDistribution):
        if (given.model, given.stage) != (model.name, representation.name):
            raise MetamersError(
                f"the null distribution is of {given.model} {given.stage}, not of {model.name} {representation.name}; "
                "give that one's, or the stimuli to make it from"
            )
        if given.weights_hash not in ("", model.weights_hash()):
            raise MetamersError(
                f"the null distribution is of another {model.name}: its weights differ; "
                "give that of this one, or the stimuli to make it from"
            )
        return given
    chosen = choose_null_set(stimuli, given)
    return None if chosen is None else null_distribution(model, representation, chosen)


def _require_one_each(start: StimulusSet, n: int) -> None:
    if len(start) != n:
        raise MetamersError(f"{len(start)} start stimuli for {n} references; give one for each")


def _relu_note(representation: Representation, passed: int | None) -> tuple[str, ...]:
    if passed is None or passed == len(representation.stages):
        return ()
    if passed == 0:
        return (f"stage {representation.name} does not end in a ReLU: its gradient is the true one",)
    return (f"{passed} of the stages {representation.name} end in a ReLU: the gradient of the others is the true one",)


def _trace(found: Search, i: int) -> dict[str, list[Any]]:
    trace: Trace = found.traces[i]
    rows = [k for k, loss in enumerate(trace.loss) if loss == loss and abs(loss) != float("inf")]
    return {
        "step": [trace.step[k] for k in rows],
        "loss": [trace.loss[k] for k in rows],
        "snr_db": [min(trace.snr_db[k], 999.0) for k in rows],
    }
