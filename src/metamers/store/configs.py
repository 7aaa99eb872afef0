"""Configuration files that people write: YAML, checked against a pydantic model, with errors that name the line."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import yaml

from metamers.errors import MetamersError, nearest

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError
    from pydantic_core import ErrorDetails

M = TypeVar("M", bound="BaseModel")

Place = tuple[str | int, ...]


def read_config(
    path: Path | str,
    schema: type[M],
    changes: Mapping[str, Any] | None = None,
    prepare: Callable[[dict[str, Any]], dict[str, Any]] = lambda value: value,
) -> M:
    """The configuration in a YAML file, after `prepare`, with some values (by dotted key) put in the place of its own.

    Raises MetamersError that names the file, the line, the key and what is allowed.
    """
    return read_placed(path, schema, changes, prepare)[0]


def read_placed(
    path: Path | str,
    schema: type[M],
    changes: Mapping[str, Any] | None = None,
    prepare: Callable[[dict[str, Any]], dict[str, Any]] = lambda value: value,
) -> tuple[M, Callable[[Place], str]]:
    """What `read_config` gives, and how errors name a place in it: with the line, where the value is the file's own."""
    path, changes = Path(path), changes or {}
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "no UTF-8 text"
        raise MetamersError(f"configuration '{path}' cannot be read ({reason}); give a YAML file") from error
    try:
        tree = yaml.compose(text, yaml.SafeLoader)
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise MetamersError(f"{path}{where}: {getattr(error, 'problem', None) or 'no YAML'}; correct it") from error
    if tree is None or not isinstance(value, dict):
        raise MetamersError(f"{path}: holds no keys; write it as key: value, one to a line")
    if line := _line_of_cycle(tree):
        raise MetamersError(f"{path}, line {line}: a reference (*) leads back to where it stands; write it out")
    if repeated := _repeated_key(tree):
        key, line = repeated
        raise MetamersError(f"{path}, line {line}: {key!r} is there twice; keep one")
    config = _checked(prepare(value), schema, changes, str(path), tree)
    return config, lambda place: f"{_where(place, str(path), tree, changes)}: {_dotted(place)}"


def read_preset(folder: Path, name: str) -> dict[str, Any]:
    """The values of a preset, a YAML file of a folder. Raises MetamersError for an unknown one."""
    path = folder / f"{name}.yaml"
    if not path.is_file():
        names = sorted(path.stem for path in folder.glob("*.yaml"))
        message = f"no preset {name!r}{nearest(name, names)}; choose one of {', '.join(names)}"
        raise MetamersError(message, place=("preset",))
    values: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return values


def change(value: dict[str, Any], changes: Mapping[str, Any], what: str) -> None:
    """Put changes (by dotted key, in which a number is the place in a list) in the place of a configuration's own
    values.

    Raises MetamersError, beginning with `what`, for a key that has no place.
    """
    for key, changed in changes.items():
        part: Any = value
        *parents, last = keys = key.split(".")
        for i, parent in enumerate(parents):
            part = part[int(parent)] if isinstance(part, list) else part.setdefault(parent, {})
            if problem := _without_place(part, keys[i + 1]):
                above = ".".join(keys[: i + 1])
                raise MetamersError(f"{what}: {above!r} {problem}, so {key!r} cannot be set; correct one of them")
        part[int(last) if isinstance(part, list) else last] = changed


def _without_place(part: Any, key: str) -> str:
    """Why a part of a configuration cannot hold a key; empty where it can."""
    if isinstance(part, list):
        there = key.isdecimal() and int(key) < len(part)
        return "" if there else f"has the entries 0 to {len(part) - 1}" if part else "is an empty list"
    if not isinstance(part, dict):
        return "holds no keys"
    return "is no list here" if key.isdecimal() and key not in part else ""


def _checked(value: dict[str, Any], schema: type[M], changes: Mapping[str, Any], what: str, tree: yaml.Node) -> M:
    from pydantic import ValidationError

    change(value, changes, f"{what} with --set")
    try:
        return schema.model_validate(value)
    except ValidationError as error:
        raise MetamersError(_first_problem(error, schema, changes, what, tree)) from error


def _first_problem(
    error: "ValidationError", schema: type["BaseModel"], changes: Mapping[str, Any], what: str, tree: yaml.Node
) -> str:
    problems = error.errors()
    # An unknown key tells more than the key that it left missing.
    first = next((problem for problem in problems if problem["type"] == "extra_forbidden"), problems[0])
    cause = (first.get("ctx") or {}).get("error")
    if isinstance(cause, MetamersError) and cause.place:
        return f"{_where(cause.place, what, tree, changes)}: {_dotted(cause.place)}: {cause}"
    place = _in_file(first["loc"], tree)
    where = _where(place, what, tree, changes)
    more = f" (and {len(problems) - 1} more such problems)" if len(problems) > 1 else ""
    return f"{where}: {_said(first, schema, _dotted(place))}{more}"


def _said(problem: "ErrorDetails", schema: type["BaseModel"], key: str) -> str:
    kind, context, given = problem["type"], problem.get("ctx") or {}, problem.get("input")
    if kind == "extra_forbidden":
        known = _keys_at(schema, problem["loc"][:-1])
        return f"there is no key {key!r}{nearest(str(problem['loc'][-1]), known)}; allowed: {', '.join(known)}"
    if kind in ("literal_error", "union_tag_invalid"):
        allowed = str(context.get("expected", context.get("expected_tags", ""))).replace(" or ", ", ")
        options = [option.strip().strip("'") for option in allowed.split(",")]
        if kind == "union_tag_invalid":
            key, given = f"{key}.{str(context['discriminator']).strip(chr(39))}", context["tag"]
        return f"{key} {given!r}: choose one of {', '.join(options)}{nearest(str(given), options)}"
    if kind in ("missing", "union_tag_not_found"):
        if kind == "union_tag_not_found":
            key = f"{key}.{str(context['discriminator']).strip(chr(39))}"
        return f"{key} is missing; give it"
    message = problem["msg"].removeprefix("Value error, ")
    return f"{key} {_short(given)}: {message[:1].lower()}{message[1:]}; correct it"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _keys_at(schema: Any, place: Place) -> list[str]:
    """The keys that a part of a configuration may have."""
    from typing import get_args

    from pydantic import BaseModel

    def models(annotation: Any) -> list[type[BaseModel]]:
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            return [annotation]
        return [model for part in get_args(annotation) for model in models(part)]

    candidates = [schema]
    for part in place:
        tagged = [
            m for m in candidates if "kind" in m.model_fields and part in get_args(m.model_fields["kind"].annotation)
        ]
        if tagged:
            candidates = tagged
        elif isinstance(part, str):
            fields = [m.model_fields[part].annotation for m in candidates if part in m.model_fields]
            candidates = [model for annotation in fields for model in models(annotation)] or candidates
    return list(dict.fromkeys(name for model in candidates for name in model.model_fields))


def _in_file(place: Place, tree: yaml.Node) -> Place:
    """The keys of `place` without those that only pydantic has: the tags of a union, and the number of an entry that
    stands alone. All keys of what is not in the file."""
    kept: list[str | int] = []
    node: yaml.Node | None = tree
    for i, part in enumerate(place):
        inner = _child(node, part)
        if inner is not None or node is None or i in (0, len(place) - 1):
            kept.append(part)
            node = inner
    return tuple(kept)


def _where(place: Place, what: str, tree: yaml.Node, changes: Mapping[str, Any]) -> str:
    """The file, and the line of a place in it, if it is not one that was changed."""
    here = f"{_dotted(place)}."
    changed = any(here.startswith(f"{key}.") or f"{key}.".startswith(here) for key in changes)
    if changed:
        return f"{what} with --set"
    line = _line(_in_file(place, tree), tree)
    return f"{what}, line {line}" if line else what


def _dotted(place: Place) -> str:
    return ".".join(map(str, place))


def _line(place: Place, tree: yaml.Node) -> int | None:
    node: yaml.Node | None = tree
    line = None
    for part in place:
        inner = _child(node, part)
        if inner is None:
            break
        line = _key_line(node, part)
        node = inner
    return line


def _child(node: yaml.Node | None, part: str | int) -> yaml.Node | None:
    if isinstance(node, yaml.MappingNode):
        return next((value for key, value in node.value if key.value == str(part)), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        inner: yaml.Node = node.value[part]
        return inner
    return None


def _key_line(node: yaml.Node | None, part: str | int) -> int:
    if isinstance(node, yaml.MappingNode):
        return int(next(key.start_mark.line for key, _ in node.value if key.value == str(part))) + 1
    assert isinstance(node, yaml.SequenceNode) and isinstance(part, int)
    return int(node.value[part].start_mark.line) + 1


def _line_of_cycle(node: yaml.Node, above: tuple[int, ...] = ()) -> int | None:
    """The line of a node that holds itself, by its anchor."""
    if id(node) in above:
        return int(node.start_mark.line) + 1
    if isinstance(node, yaml.MappingNode):
        inner = [value for _, value in node.value]
    else:
        inner = node.value if isinstance(node, yaml.SequenceNode) else []
    return next(filter(None, (_line_of_cycle(each, (*above, id(node))) for each in inner)), None)


def _repeated_key(node: yaml.Node | None) -> tuple[str, int] | None:
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if key.value in seen:
                return key.value, key.start_mark.line + 1
            seen.add(key.value)
            if found := _repeated_key(value):
                return found
    if isinstance(node, yaml.SequenceNode):
        return next(filter(None, map(_repeated_key, node.value)), None)
    return None
