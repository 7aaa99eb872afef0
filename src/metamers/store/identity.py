"""What is of a study, and what is of another state of it."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from math import isclose
from typing import Any

from metamers.errors import MetamersError

Record = dict[str, Any]
Hashes = dict[str, dict[str, dict[str, str]]]
"""Of stimuli: by set (`stimuli`, `null_stimuli`), by the size that they are fitted to, and by id."""

_OF_A_MODEL = ("weights_hash", "stimuli_hash", "null_hash", "criterion", "numerics")
"""What a batch record and the study's entry of its model must agree in."""


def stages_of(study: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The models of a study with each of their stages."""
    return [(model["name"], stage) for model in study["models"] for stage in model["stages"]]


def is_part(study: Mapping[str, Any]) -> Callable[[Record], bool]:
    """Whether a batch's cells are of a study: of its models and stimuli as they are, stages, recipes and seeds."""
    named = _is_named(study)
    models = {model["name"]: [model.get(key) for key in _OF_A_MODEL] for model in study["models"]}
    fingerprints = {model["name"]: model.get("fingerprint") for model in study["models"]}
    recipes = {recipe["name"]: recipe for recipe in study["recipes"]}

    def belongs(record: Record) -> bool:
        return (
            named(record)
            and record["settings"] == recipes[record["recipe"]]
            and [record.get(key) for key in _OF_A_MODEL] == models[record["model"]]
            and agree(record.get("fingerprint"), fingerprints[record["model"]])
        )

    return belongs


def agree(one: Sequence[float] | None, other: Sequence[float] | None) -> bool:
    """Whether two fingerprints are of one model, but for what differs between machines; nothing speaks against it
    where one is unknown."""
    if one is None or other is None:
        return True
    scale = max(map(abs, [*one, *other]), default=0.0)
    return len(one) == len(other) and all(isclose(a, b, abs_tol=1e-3 * scale) for a, b in zip(one, other, strict=True))


def require_names_free(folder: str, records: Iterable[Record], study: Mapping[str, Any]) -> None:
    """Raises MetamersError where cells of an earlier study would have the names, and so the files, of others."""
    named, belongs = _is_named(study), is_part(study)
    for record in records:
        if named(record) and not belongs(record):
            raise MetamersError(
                f"{folder}: holds cells of another model {record['model']!r} or recipe {record['recipe']!r}, or of "
                "other stimuli; remove them with `metamers clean`, or choose another --out"
            )


def without_cells(study: Mapping[str, Any], other: Mapping[str, Any]) -> Record:
    """A study but for what its cells are of: what it and the other have in common of models and recipes remains."""
    models = {model["name"] for model in other["models"]}
    recipes = {recipe["name"] for recipe in other["recipes"]}
    return {
        **study,
        "seeds": None,
        "recipes": {recipe["name"]: recipe for recipe in study["recipes"] if recipe["name"] in recipes},
        "models": {m["name"]: {**m, "stages": None} for m in study["models"] if m["name"] in models},
    }


def changes(old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """What has become of stimuli, by their ids and hashes."""
    for id_ in dict.fromkeys([*old, *new]):
        if old.get(id_) != new.get(id_):
            yield id_, "is new" if id_ not in old else "is gone" if id_ not in new else "has changed"


def merged(old: Hashes, new: Hashes) -> Hashes:
    """The hashes of both; the new ones count."""
    return {kind: {**old.get(kind, {}), **new.get(kind, {})} for kind in dict.fromkeys([*old, *new])}


def _is_named(study: Mapping[str, Any]) -> Callable[[Record], bool]:
    """Whether a batch has the names of a study's models, stages, recipes and seeds."""
    pairs, seeds = set(stages_of(study)), set(study["seeds"])
    recipes = {recipe["name"] for recipe in study["recipes"]}
    return lambda record: (
        (record["model"], record["stage"]) in pairs and record["recipe"] in recipes and record["seed"] in seeds
    )
