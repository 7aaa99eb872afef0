"""Options that several commands share."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import isfinite
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from cyclopts.validators import Number

from metamers.errors import MetamersError, nearest

if TYPE_CHECKING:
    from metamers.models import StagedModel

Count = Annotated[int, Parameter(validator=Number(gte=1))]

Device = Annotated[str, Parameter(help="cpu, cuda, cuda:1 or mps.")]
InputSize = Annotated[
    str | None, Parameter(help="Input size of a model that does not state it: 32 or 64x96 (height x width).")
]
Json = Annotated[bool, Parameter(help="Print one JSON object on stdout.", negative="")]
Weights = Annotated[
    str | None, Parameter(help="A safetensors file or state dict, or `random`; by default the source's own.")
]


@Parameter(name="*")
@dataclass(frozen=True)
class Labels:
    """Where labels come from, other than subfolders."""

    labels: Annotated[str | None, Parameter(help="A CSV file of labels.")] = None
    label_column: Annotated[str | None, Parameter(help="Its column that holds the labels.")] = None
    label_pattern: Annotated[str | None, Parameter(help="The label within file names: '{label}_*'.")] = None


@Parameter(name="*")
@dataclass(frozen=True)
class Sounds:
    """How sounds are brought to what a model takes."""

    rate: Annotated[int | None, Parameter(help="Sounds: samples per second; others are resampled.")] = None
    seconds: Annotated[float | None, Parameter(help="Sounds: keep the middle so many, or pad with silence.")] = None
    rms: Annotated[float | None, Parameter(help="Sounds: set each to this level, at most 0.25 (of 1).")] = None


def sounds_for(model: str, given: Sounds) -> Sounds:
    """What sounds are brought to for a model: where no rate is given, its own, if it is of this package."""
    from metamers.models import known_rate

    return given if given.rate is not None else replace(given, rate=known_rate(model))


def require_own_length(model: "StagedModel", given: Sounds) -> None:
    """Raises MetamersError where sounds are asked to be of another rate or length than a model takes."""
    rate = model.sample_rate
    if rate is not None and given.rate not in (None, rate):
        raise MetamersError(f"--rate {given.rate}: {model.name} takes sounds of {rate} Hz; leave --rate out")
    if rate is not None and given.seconds is not None and model.input_size is not None:
        n = model.input_size[1]
        if round(given.seconds * rate) != n:
            raise MetamersError(
                f"--seconds {given.seconds:g}: {model.name} takes sounds of {n / rate:g} s; leave --seconds out"
            )


def parse_settings(settings: list[str]) -> dict[str, Any]:
    """FIELD=VALUE pairs, the values of the types of the recipe's fields.

    Raises MetamersError for a pair without a name or value, an unknown field, and a value of another type.

    >>> parse_settings(["steps=400", "step_size=1e-3", "start=pink", "early_stop=no"])
    {'steps': 400, 'step_size': 0.001, 'start': 'pink', 'early_stop': False}
    """
    if not settings:
        return {}
    from dataclasses import fields

    from metamers.synthesis import Recipe

    types = {field.name: field.type for field in fields(Recipe)}
    parsed: dict[str, Any] = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not (name and equals and value):
            raise MetamersError(f"--set {setting}: give FIELD=VALUE, e.g. steps=400")
        if name not in types:
            raise MetamersError(f"--set {setting}: a recipe has no {name!r}{nearest(name, types)}")
        read, wanted = _READERS.get(types[name], (str, ""))
        try:
            parsed[name] = read(value)
        except (ValueError, KeyError):
            raise MetamersError(f"--set {setting}: {name} takes {wanted}") from None
    return parsed


_WORDS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


def _finite(text: str) -> float:
    value = float(text)
    if not isfinite(value):
        raise ValueError(text)
    return value


_READERS: dict[Any, tuple[Callable[[str], Any], str]] = {
    int: (int, "a whole number"),
    float: (_finite, "a number"),
    bool: (lambda text: _WORDS[text.lower()], "yes or no"),
}


def parse_size(text: str | None) -> tuple[int, int] | None:
    """`32` or `64x96` as (height, width). Raises MetamersError for anything else.

    >>> parse_size("64x96")
    (64, 96)
    """
    if text is None:
        return None
    sides = text.lower().split("x")
    if len(sides) > 2 or not all(side.isdecimal() and int(side) > 0 for side in sides):
        raise MetamersError(f"--input-size {text}: give one side or HEIGHTxWIDTH in pixels, e.g. 224")
    return int(sides[0]), int(sides[-1])


def parse_number(option: str, text: str) -> float:
    """A number or a fraction, such as 4/255, of an option. Raises MetamersError for anything else.

    >>> parse_number("--eps", "1/4"), parse_number("--eps", "1e-3")
    (0.25, 0.001)
    """
    above, slash, below = text.partition("/")
    try:
        return _finite(above) / (_finite(below) if slash else 1)
    except (ValueError, ZeroDivisionError):
        raise MetamersError(f"{option} {text}: give a number, or a fraction such as 4/255") from None
