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
    path = Path(path)
    text = _text(path)
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
    return _checked(prepare(value), schema, changes or {}, str(path), tree)


def places_in(path: Path | str, changes: Mapping[str, Any]) -> Callable[[Place], str]:
    """How errors about a configuration that `read_config` gave name a place in it: with the line, where the value there
    is the file's own.

    Raises MetamersError for a file that cannot be read.
    """
    tree = yaml.compose(_text(Path(path)), yaml.SafeLoader)
    assert tree is not None  # of a file that was read

    def name(place: Place) -> str:
        place = _in_file(place, tree)
        return f"{_where(place, str(path), tree, changes)}: {'.'.join(map(str, place))}"

    return name


def read_preset(folder: Path, name: str) -> dict[str, Any]:
    """The values of a preset, a YAML file of a folder. Raises MetamersError for an unknown one."""
    path = folder / f"{name}.yaml"
    if not path.is_file():
        names = sorted(path.stem for path in folder.glob("*.yaml"))
        raise MetamersError(f"no preset {name!r}{nearest(name, names)}; choose one of {', '.join(names)}")
    values: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return values


def change(value: dict[str, Any], changes: Mapping[str, Any], what: str) -> None:
    """Put changes (by dotted key) in the place of a configuration's own values.

    Raises MetamersError, beginning with `what`, for a key within something that holds none.
    """
    for key, changed in changes.items():
        part = value
        *parents, last = key.split(".")
        for parent in parents:
            inner = part.setdefault(parent, {})
            if not isinstance(inner, dict):
                raise MetamersError(f"{what}: {parent!r} holds no keys, so {key!r} cannot be set; correct one of them")
            part = inner
        part[last] = changed


def _checked(value: dict[str, Any], schema: type[M], changes: Mapping[str, Any], what: str, tree: yaml.Node) -> M:
    from pydantic import ValidationError

    change(value, changes, what)
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
    place = _in_file(first["loc"], tree)
    where = _where(place, what, tree, changes)
    more = f" (and {len(problems) - 1} more such problems)" if len(problems) > 1 else ""
    return f"{where}: {_said(first, schema, '.'.join(map(str, place)))}{more}"


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


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "no UTF-8 text"
        raise MetamersError(f"configuration '{path}' cannot be read ({reason}); give a YAML file") from error


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
    """The keys of `place` without those that only pydantic has: the tags of a union."""
    kept: list[str | int] = []
    node: yaml.Node | None = tree
    for i, part in enumerate(place):
        inner = _child(node, part)
        if inner is not None or i == len(place) - 1:
            kept.append(part)
            node = inner
    return tuple(kept)


def _where(place: Place, what: str, tree: yaml.Node, changes: Mapping[str, Any]) -> str:
    """The file, and the line of a place in it; of a value that was changed there is none."""
    keys = [".".join(map(str, place[: i + 1])) for i in range(len(place))]
    line = None if any(key in changes for key in keys) else _line(place, tree)
    return f"{what}, line {line}" if line else what


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
