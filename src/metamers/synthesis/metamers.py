"""From references to judged metamers."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
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
)
from metamers.matching.null import MIN_GIVEN, MIN_OWN, different
from metamers.models import StagedModel
from metamers.stimuli import StimulusSet
from metamers.synthesis.engine import Progress, Search, Trace, search
from metamers.synthesis.recipe import Recipe
from metamers.synthesis.recipes import recipe_named
from metamers.synthesis.starts import START_NOISE, cell_generator

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Result:
    """Metamers of N references and their judgement.

    signals: what the written files decode to, float [N, C, H, W] in [0, 1]; raw: the values before rounding.
    matches: the table `matches`, one row per reference. cells: the same with traces and reasons, as stored.
    representations: of the raw values, float [N, D], only where asked for.
    """

    signals: Tensor
    raw: Tensor
    matches: "pd.DataFrame"
    cells: list[dict[str, Any]] = field(repr=False)
    null: NullDistribution | None = field(repr=False)


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
    start: StimulusSet | None = None,
    batch_size: int = 16,
    progress: Progress = lambda step, limit, active: None,
    **options: Any,
) -> Result:
    """Make a metamer of each stimulus at one stage of a model (or at several together) and judge it as written.

    recipe: `fast`, `feather2023`, `feather2023-scaled`, or a `Recipe`; `options` change its fields. null: the stimuli
    whose pairs give the null distribution, or one already computed; by default `stimuli` themselves where at least 200
    are different, else the verdict is `no null`. criterion: by default all measures above the null's maximum and, for a
    model with a decision, the same decision. start: signals to start from in place of noise, one for each stimulus.

    Raises MetamersError for an unknown stage, recipe or option, and for stimuli that do not fit the model.

    >>> import metamers
    >>> images = metamers.load_stimuli("bundled:pictograms?n=2")
    >>> result = metamers.synthesize(metamers.load_model("bundled:picto-resnet"), images, "layer1", steps=20)
    >>> result.signals.shape, list(result.matches.verdict)
    (torch.Size([2, 3, 64, 64]), ['no null', 'no null'])
    """
    chosen = recipe_named(recipe).with_options(**options)
    representation = choose_representation(model, stage, stage_weights, objective, channels, tokens)
    model, stimuli = fit_to_model(model, stimuli)
    criterion = default_criterion(model) if criterion is None else criterion
    if not isinstance(null, NullDistribution):
        null_set = choose_null_set(stimuli, null)
        null = None if null_set is None else null_distribution(model, representation, null_set)
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
    return Result(signals, raw, store.matches(cells), cells, null)


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
    begun = time.monotonic()
    references = stimuli.read()
    cells = [store.Cell(model.name, representation.name, recipe.name, reference, seed) for reference in stimuli.ids]
    starts = start_signals(recipe, cells, tuple(references.shape[1:]), start)

    def is_metamer(rows: Tensor, signals: Tensor) -> Tensor:
        evidence = match(model, representation, references[rows], as_written(signals.cpu()))
        return criterion.holds(evidence, null, len(rows))

    judged_early = is_metamer if null is not None or not criterion.above else None
    found = search(model, representation, references, starts, recipe, judged_early, progress)
    signals = as_written(found.raw)
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
    return Result(signals, found.raw, store.matches(records), records, null)


def start_signals(
    recipe: Recipe, cells: Sequence[store.Cell], shape: tuple[int, ...], start: StimulusSet | None
) -> Tensor:
    """Where each cell's search starts: noise from the cell's own seed, or the given stimuli. Float [N, C, H, W]."""
    if start is None:
        return torch.stack([START_NOISE[recipe.start](shape, recipe.start_std, cell_generator(c)) for c in cells])
    signals = start.fit((shape[1], shape[2]), shape[0]).read()
    if len(signals) != len(cells):
        raise MetamersError(f"{len(signals)} start stimuli for {len(cells)} references; give one for each")
    return signals


def as_written(signals: Tensor) -> Tensor:
    """What an 8-bit file of the signals decodes to: float in [0, 1], rounded (not truncated) to 255ths."""
    return (signals.clamp(0, 1) * 255).round() / 255


def choose_representation(
    model: StagedModel,
    stage: str | Sequence[str],
    weights: Sequence[float] = (),
    objective: str | Callable[[Tensor], Tensor] = "activation",
    channels: Sequence[int] | None = None,
    tokens: Sequence[int] | None = None,
) -> Representation:
    """The representation at a stage, or at several stages together."""
    stages = (stage,) if isinstance(stage, str) else tuple(stage)
    return Representation(
        stages,
        tuple(weights),
        objective,
        None if channels is None else tuple(channels),
        None if tokens is None else tuple(tokens),
    )


def fit_to_model(model: StagedModel, stimuli: StimulusSet) -> tuple[StagedModel, StimulusSet]:
    """The model with its input size known, and the stimuli fitted to it.

    A model that does not state its size takes the stimuli's, where they all have one.
    """
    if model.input_size is None:
        if stimuli.size is None:
            raise MetamersError(f"{model.name}: input size unknown and the stimuli's sizes differ; give --input-size")
        model = model.with_input_size(stimuli.size)
    assert model.input_size is not None
    return model, stimuli.fit(model.input_size, model.channels)


def choose_null_set(stimuli: StimulusSet, given: StimulusSet | None) -> StimulusSet | None:
    """The stimuli for the null: those given, where at least 50 are different; else the stimuli themselves where at
    least 200 are; else None."""
    if given is not None:
        fitted = given if stimuli.size is None else given.fit(stimuli.size, stimuli.channels)
        return fitted if len(different(fitted)) >= MIN_GIVEN else None
    return stimuli if len(stimuli) >= MIN_OWN and len(different(stimuli)) >= MIN_OWN else None


def default_criterion(model: StagedModel) -> Criterion:
    """The published criterion, without the decision for a model that makes none."""
    return PUBLISHED if model.has_decision else Criterion(PUBLISHED.above)


def _trace(found: Search, i: int) -> dict[str, list[Any]]:
    trace: Trace = found.traces[i]
    rows = [k for k, loss in enumerate(trace.loss) if loss == loss and abs(loss) != float("inf")]
    return {
        "step": [trace.step[k] for k in rows],
        "loss": [trace.loss[k] for k in rows],
        "snr_db": [min(trace.snr_db[k], 999.0) for k in rows],
    }
