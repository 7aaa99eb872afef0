"""A study's models, stimuli and settings, loaded and checked against each other."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from metamers.errors import MetamersError
from metamers.labels import LabelSpace, label_space
from metamers.matching import AboveNull, Representation, SameDecision
from metamers.models import StagedModel, fit_to_model, load_model, own_kind
from metamers.stimuli import StimulusSet, load_stimuli
from metamers.study.config import ModelConfig, ObserverConfig, RecipeConfig, StudyConfig
from metamers.study.plan import ModelTask, Settings
from metamers.synthesis import Recipe, recipe_named


class Study(NamedTuple):
    """What is to be made, and who names it: models with the labels that they answer in and how they decide."""

    tasks: list[ModelTask]
    settings: Settings
    observers: Sequence[tuple[StagedModel, LabelSpace | None, str]]


def resolve(config: StudyConfig, check: bool = True) -> Study:
    """Load what a configuration names; with `check`, all stimuli are decoded once.

    Raises MetamersError for what is unknown, missing or does not fit, and for two models of one name.
    """
    stimuli = load_stimuli(config.stimuli.source, **config.stimuli.model_dump(exclude={"source"}))
    null = config.null_stimuli
    null_set = None if null is None else load_stimuli(null.source, **null.model_dump(exclude={"source"}))
    tasks = [_task(config, entry, stimuli) for entry in config.models]
    names = [task.model.name for task in tasks]
    if twice := next((name for i, name in enumerate(names) if name in names[:i]), None):
        raise MetamersError(f"two models are named {twice!r}; name each once")
    recipes = tuple(_recipe(entry, stimuli.kind) for entry in config.recipes)
    if null_set is not None:
        _, null_set = fit_to_model(tasks[0].model, null_set)
        if check:
            null_set.check()
    criterion = AboveNull(quantile=config.criterion.quantile)
    if config.criterion.same_decision:
        criterion &= SameDecision()
    settings = Settings(recipes, criterion, config.seeds, null_set, config.null_pairs, config.batch_size)
    observers = [
        (_load(entry, stimuli, config.device), label_space(entry.labels), entry.decision) for entry in config.observers
    ]
    for model, _, _ in observers:
        known, _ = fit_to_model(model, tasks[0].stimuli)
        if not known.has_decision:
            raise MetamersError(f"observer {model.name!r} makes no decision, so it names nothing; leave it out")
    for task in tasks if check else ():
        task.stimuli.check()
    return Study(tasks, settings, observers)


def _recipe(entry: RecipeConfig, kind: str) -> Recipe:
    """A recipe that is set otherwise has what is set in its name, so that its cells are not taken for others."""
    recipe = recipe_named(entry.name, kind).with_options(**entry.set)
    return replace(recipe, name=" ".join([entry.name, *(f"{key}={value}" for key, value in sorted(entry.set.items()))]))


def _load(entry: ModelConfig | ObserverConfig, stimuli: StimulusSet, device: str) -> StagedModel:
    """The model of an entry, for stimuli of a kind and rate."""
    size = (entry.input_size, entry.input_size) if isinstance(entry.input_size, int) else entry.input_size
    kind = own_kind(entry.source, stimuli.kind, stimuli.sample_rate)
    return load_model(entry.source, weights=entry.weights, input_size=size, device=device, **kind)


def _task(config: StudyConfig, entry: ModelConfig, stimuli: StimulusSet) -> ModelTask:
    model, fitted = fit_to_model(_load(entry, stimuli, config.device), stimuli)
    stages = chosen_stages(model, entry.stages or config.stages)
    return ModelTask(model, fitted, tuple(Representation(names, summary=config.objective) for names in stages))


def chosen_stages(model: StagedModel, patterns: Sequence[str]) -> list[tuple[str, ...]]:
    """Each stage or pattern by itself; A+B together.

    Raises MetamersError for a name that there is not, and for + between patterns.
    """
    chosen: list[tuple[str, ...]] = []
    for pattern in patterns:
        parts = pattern.split("+")
        if len(parts) == 1:
            chosen += [(name,) for name in model.resolve([pattern])]
            continue
        together = tuple(name for part in parts for name in model.resolve([part]))
        if len(set(together)) != len(parts):
            raise MetamersError(f"stage {pattern!r}: + joins different names, no patterns")
        chosen.append(together)
    return list(dict.fromkeys(chosen))
