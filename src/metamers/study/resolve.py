"""A study's models, stimuli and settings, loaded and checked against each other."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import NamedTuple

from metamers.errors import MetamersError
from metamers.labels import LabelSpace, identity, label_space
from metamers.matching import AboveNull, Representation, SameDecision
from metamers.models import StagedModel, fit_to_model, load_model, own_kind
from metamers.models.devices import parse_device
from metamers.observers.model_observer import some
from metamers.stimuli import StimulusSet, load_stimuli
from metamers.store import Place
from metamers.study.config import ModelConfig, ObserverConfig, RecipeConfig, StimuliConfig, StudyConfig
from metamers.study.plan import ModelTask, Settings
from metamers.synthesis import Recipe, recipe_named


class Study(NamedTuple):
    """What is to be made, and who names it: models with the labels that they answer in and how they decide."""

    tasks: list[ModelTask]
    settings: Settings
    observers: Sequence[tuple[StagedModel, LabelSpace | None, str]]
    notes: Sequence[str] = ()
    """What to know of the observers before the work."""


Where = Callable[[Place], str]
"""Names a place of a study's file, for errors."""


def resolve(config: StudyConfig, check: bool = True, where: Where | None = None) -> Study:
    """Load what a configuration names; with `check`, all stimuli are decoded once.

    Raises MetamersError for what is unknown, missing or does not fit, and for two models of one name; it begins with
    the place that it is about where `where` names it.
    """
    with _at(where, "device"):
        parse_device(config.device)
    with _at(where, "stimuli"):
        stimuli = _stimuli(config.stimuli)
    with _at(where, "null_stimuli"):
        null_set = None if config.null_stimuli is None else _stimuli(config.null_stimuli)
    tasks: list[ModelTask] = []
    for i in range(len(config.models)):
        tasks.append(_task(config, i, stimuli, where))
        if tasks[-1].model.name in [task.model.name for task in tasks[:-1]]:
            with _at(where, "models", i):
                raise MetamersError(f"two models are named {tasks[-1].model.name!r}; name each once")
    recipes = []
    for i, recipe in enumerate(config.recipes):
        with _at(where, "recipes", i):
            recipes.append(_recipe(recipe, stimuli.kind))
    if null_set is not None:
        with _at(where, "null_stimuli"):
            _, null_set = fit_to_model(tasks[0].model, null_set)
            if check:
                null_set.check()
    criterion = AboveNull(quantile=config.criterion.quantile)
    if config.criterion.same_decision:
        criterion &= SameDecision()
    settings = Settings(tuple(recipes), criterion, config.seeds, null_set, config.null_pairs, config.batch_size)
    observers, notes = [], []
    for i, seeing in enumerate(config.observers):
        with _at(where, "observers", i):
            model, space = _load(seeing, stimuli, config.device), label_space(seeing.labels)
            notes += _unscored(_labels_of(model, space, tasks[0].stimuli), model.name, tasks[0].stimuli.labels)
            observers.append((model, space, seeing.decision))
    for task in tasks if check else ():
        with _at(where, "stimuli"):
            task.stimuli.check()
    return Study(tasks, settings, observers, tuple(dict.fromkeys(notes)))


@contextmanager
def _at(where: Where | None, *place: str | int) -> Iterator[None]:
    """Errors begin with the place that they are about."""
    try:
        yield
    except MetamersError as error:
        if where is None:
            raise
        raise MetamersError(f"{where(place)}: {error}") from error


def _stimuli(entry: StimuliConfig) -> StimulusSet:
    return load_stimuli(entry.source, **entry.model_dump(exclude={"source"}))


def _recipe(entry: RecipeConfig, kind: str) -> Recipe:
    """A recipe that is set otherwise has what is set in its name, so that its cells are not taken for others."""
    recipe = recipe_named(entry.name, kind).with_options(**entry.set)
    return replace(recipe, name=" ".join([entry.name, *(f"{key}={value}" for key, value in sorted(entry.set.items()))]))


def _load(entry: ModelConfig | ObserverConfig, stimuli: StimulusSet, device: str) -> StagedModel:
    """The model of an entry, for stimuli of a kind and rate."""
    size = (entry.input_size, entry.input_size) if isinstance(entry.input_size, int) else entry.input_size
    kind = own_kind(entry.source, stimuli.kind, stimuli.sample_rate)
    return load_model(entry.source, weights=entry.weights, input_size=size, device=device, **kind)


def _labels_of(observer: StagedModel, space: LabelSpace | None, stimuli: StimulusSet) -> LabelSpace:
    """The labels in which an observer answers. Raises MetamersError where it cannot."""
    known, _ = fit_to_model(observer, stimuli)
    if not known.has_decision:
        raise MetamersError(f"observer {observer.name!r} makes no decision, so it names nothing; leave it out")
    n = next(stage.shape[0] for stage in known.describe() if stage.name == "output")
    space = space or identity(known.classes, n, observer.name)
    space.require_outputs(n, observer.name)
    return space


def _unscored(space: LabelSpace, observer: str, labels: Sequence[str | None]) -> list[str]:
    """Which answers will have no score, as notes."""
    given = [label for label in labels if label is not None]
    notes = []
    if len(given) < len(labels):
        notes.append(f"{len(labels) - len(given)} of {len(labels)} stimuli have no label: no answer to them is scored")
    if foreign := [label for label in dict.fromkeys(given) if space.known(label) is None]:
        own = f"; its own are {some(space.labels)}" * (len(foreign) == len(set(given)))
        notes.append(f"observer {observer!r} has no label {some(foreign)}: no answer to such stimuli is scored{own}")
    return notes


def _task(config: StudyConfig, number: int, stimuli: StimulusSet, where: Where | None) -> ModelTask:
    entry = config.models[number]
    with _at(where, "models", number):
        model, fitted = fit_to_model(_load(entry, stimuli, config.device), stimuli)
    with _at(where, *(("models", number, "stages") if entry.stages else ("stages",))):
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
