"""A model as an observer: it names what it sees in the written files."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, groupby
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metamers.errors import MetamersError, nearest
from metamers.labels import DECISIONS, LabelSpace, identity
from metamers.matching.representation import in_batches
from metamers.models import StagedModel, fingerprint, fit_to_model
from metamers.observers.shown import shown
from metamers.stimuli import StimulusSet
from metamers.stimuli.written import written_set
from metamers.store import Record, Store, record_id
from metamers.store.identity import agree

Progress = Callable[[int, int], None]
"""Called with the number of stimuli that an observer has answered, and of all."""

BATCH = 64


@dataclass(frozen=True)
class ModelObserver:
    """A model that answers in a label space, under the name that it has in a run; `model_observer` makes one.

    `fingerprint` tells it from other networks of the same weights (`metamers.models.fingerprint`).
    """

    name: str
    model: StagedModel
    space: LabelSpace
    decision: str
    fingerprint: list[float] | None

    def answer(self, stimuli: StimulusSet) -> list[str | None]:
        """A label for each stimulus, fitted to the model's input; None where the model gives NaN."""
        _, shown = fit_to_model(self.model, stimuli)
        logits = [self._logits(shown[i : i + BATCH]) for i in range(0, len(shown), BATCH)]
        return self.space.choose(np.concatenate(logits), self.decision)

    def _logits(self, stimuli: StimulusSet) -> NDArray[np.float32]:
        found = in_batches(lambda x: self.model.logits(x.to(self.model.device)).cpu(), stimuli.read(), BATCH)
        logits: NDArray[np.float32] = found.numpy()
        return logits


def model_observer(
    store: Store,
    model: StagedModel,
    space: LabelSpace | None = None,
    decision: str = "first",
    *,
    beside: Iterable[ModelObserver] = (),
) -> ModelObserver:
    """`model` as an observer of a run; `space` None is the model's own labels.

    A model that has answered before, or is one of those `beside` it, keeps the name that it has there, however it is
    named now; one that shares its name with another takes six digits of its weights' hash into it. A model that takes
    any input size takes that of the first stimulus.
    Raises MetamersError for a run without metamers, a model without a decision, and outputs that are not the space's.
    """
    if decision not in DECISIONS:
        raise MetamersError(f"no decision {decision!r}; choose {' or '.join(DECISIONS)}")
    first = written_set(str(store.folder), [""], [store.path(next(_some_shown(store))["file"])])
    *_, height, width = (1, *first.read().shape[1:])
    model, _ = fit_to_model(model, first.fit((height, width), first.channels))
    shape = next(stage.shape for stage in model.describe() if stage.name == "output")
    if not model.has_decision:
        raise MetamersError(f"model {model.name!r} makes no decision: its output has shape {list(shape)} a stimulus")
    space = space or identity(model.classes, shape[0], model.name)
    space.require_outputs(shape[0], model.name)
    known = fingerprint(model, (1, *model.input_shape))
    return ModelObserver(_name(store, model, known, beside), model, space, decision, known)


def require_scored(store: Store, observer: ModelObserver) -> None:
    """Raises MetamersError for a run without metamers, and where the observer's labels have none of the stimuli's."""
    labels = list(dict.fromkeys(s["label"] for s in _some_shown(store) if s["label"] is not None))
    if not labels:
        raise MetamersError(f"{store.folder}: its stimuli have no labels to score by; make the run with labels")
    if not any(observer.space.known(label) for label in labels):
        raise MetamersError(
            f"observer {observer.name!r} has none of the stimuli's labels ({some(labels)}); its own are "
            f"{some(observer.space.labels)}; choose other --labels"
        )


def recognize(
    store: Store,
    observer: StagedModel | ModelObserver,
    *,
    of: Collection[str] | None = None,
    controls: Collection[str] = (),
    progress: Progress = lambda done, total: None,
) -> int:
    """Let `observer` name what a run shows, and store its responses; how many are new.

    A model answers in its own labels, a `ModelObserver` in its label space. Metamers are shown of the models named in
    `of`, None for all. The files are read as written and fitted to the observer's input. What was answered before, in
    the same labels and at the same input size, is not asked again; other answers (`outdated`) go. Raises MetamersError
    as `model_observer` does.
    """
    if isinstance(observer, StagedModel):
        observer = model_observer(store, observer)
    counts = Counter(stimulus["model"] for stimulus in shown(store, controls))
    models = counts.keys() - {None}
    if unknown := [name for name in of or () if name not in models]:
        raise MetamersError(f"{store.folder}: holds no metamers of {unknown[0]!r}{nearest(unknown[0], models)}")
    asked = {None, *(models if of is None else of)}
    total, done, n_new = sum(counts[model] for model in asked), 0, 0
    for key, group in groupby((s for s in shown(store, controls) if s["model"] in asked), _group):
        stimuli = list(group)
        model, stage, _, seed = key
        id_ = record_id([*key, observer.name], ".".join(filter(None, (model, stage, seed, observer.name))))
        n_new += _recognize_group(store, observer, stimuli, id_)
        done += len(stimuli)
        progress(done, total)
    for record, _ in outdated(store, observer):  # of what is not shown
        store.drop_responses(record["id"])
    return n_new


def outdated(store: Store, observer: ModelObserver) -> Iterator[tuple[Record, dict[str, tuple[Any, Any]]]]:
    """The records of an observer that was asked otherwise (say, in other labels), with (then, now) of what differs.

    `recognize` replaces them or, where their stimuli are not among those shown, drops them.
    """
    for record in store.responses():
        found = _differing(record, observer)
        if found and record.get("observer") == observer.name:
            yield record, found


def some(labels: Iterable[str], most: int = 4) -> str:
    """A few labels in quotes, and how many more there are.

    >>> some(["cat", "cup", "sun"], 2)
    "'cat', 'cup' and 1 more"
    """
    named = [repr(label) for label in labels]
    return ", ".join(named[:most]) + (f" and {len(named) - most} more" if len(named) > most else "")


def _some_shown(store: Store) -> Iterator[Record]:
    stimuli = shown(store)
    first = next(stimuli, None)
    if first is None:
        raise MetamersError(f"{store.folder}: holds no metamer to recognize; make some with `metamers make`")
    return chain([first], stimuli)


def _group(stimulus: Record) -> tuple[str, str, str, str]:
    """The stimuli of one model, stage, seed and (for those of no model) folder, so of one size, are asked together."""
    folder = "" if stimulus["model"] else str(PurePosixPath(stimulus["file"]).parent)
    seed = "" if stimulus["seed"] is None else f"s{stimulus['seed']}"
    return stimulus["model"] or "", stimulus["stage"], folder, seed


def _asked(observer: ModelObserver) -> Record:
    """What an observer's answers depend on, besides the stimuli."""
    return {
        **{"observer": observer.name, "weights_hash": observer.model.weights_hash(), "labels": observer.space.name},
        **{"decision": observer.decision, "n_labels": len(observer.space.labels)},
        "input_size": list(observer.model.input_size or ()),
    }


def _differing(record: Record, observer: ModelObserver) -> dict[str, tuple[Any, Any]]:
    """In what an observer was asked otherwise, or was another network: (then, now)."""
    now = _asked(observer)
    found = {key: (record.get(key), now[key]) for key in now if record.get(key) != now[key]}
    if not found and not agree(record.get("fingerprint"), observer.fingerprint):  # of one input size
        found["fingerprint"] = record["fingerprint"], observer.fingerprint
    return found


def _recognize_group(store: Store, observer: ModelObserver, stimuli: list[Record], id_: str) -> int:
    asked, old = _asked(observer), store.response_record(id_)
    known: dict[tuple[str, str], Record] = {}
    if old is not None and not _differing(old, observer):
        known = {(row["cell"], row["sha256"]): row for row in old["responses"]}
    new = [stimulus for stimulus in stimuli if (stimulus["cell"], stimulus["sha256"]) not in known]
    if not new:
        return 0
    for stimulus, response in zip(new, observer.answer(_stimulus_set(store, new)), strict=True):
        known[stimulus["cell"], stimulus["sha256"]] = _row(observer, stimulus, response)
    # Answers about metamers that were made anew since go; those about what another state of the study shows stay.
    cells = {stimulus["cell"] for stimulus in stimuli}
    rows = [known[stimulus["cell"], stimulus["sha256"]] for stimulus in stimuli]
    rows += [row for (cell, _), row in known.items() if cell not in cells]
    store.commit_responses({"id": id_, **asked, "fingerprint": observer.fingerprint, "responses": rows})
    return len(new)


def _row(observer: ModelObserver, stimulus: Record, response: str | None) -> Record:
    label = observer.space.known(stimulus["label"])
    keys = ("cell", "model", "stage", "recipe", "reference", "seed", "sha256", "control")
    return {
        **{key: stimulus[key] for key in keys},
        **{"observer": observer.name, "observer_kind": "model", "participant": None, "rt_ms": None},
        **{"label": label or stimulus["label"], "response": response},
        "correct": None if label is None or response is None else response == label,
    }


def _stimulus_set(store: Store, stimuli: list[Record]) -> StimulusSet:
    files = [stimulus["file"] for stimulus in stimuli]
    return written_set(str(store.folder), files, [store.path(file) for file in files])


def _name(store: Store, model: StagedModel, known_by: list[float] | None, beside: Iterable[ModelObserver]) -> str:
    digest = model.weights_hash()
    known: list[tuple[str, str, list[float] | None]] = []
    for record in store.responses():
        asked = "weights_hash" in record and (record["observer"], record["weights_hash"], record["fingerprint"])
        if asked and asked not in known:
            known.append(asked)
    known += [(other.name, other.model.weights_hash(), other.fingerprint) for other in beside]
    for name, weights, computed in known:
        if weights == digest and agree(computed, known_by):
            return str(name)
    names = {entry["name"]: entry["weights_hash"] for entry in store.study().get("models") or []}
    names |= {name: weights for name, weights, _ in known}
    return model.name if names.get(model.name, digest) == digest else f"{model.name}#{digest[:6]}"
