"""Options that several commands share."""

from dataclasses import dataclass
from typing import Annotated, Any

import yaml
from cyclopts import Parameter

from metamers.errors import MetamersError

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


def parse_settings(settings: list[str]) -> dict[str, Any]:
    """FIELD=VALUE pairs, the values read as YAML. Raises MetamersError for one without a name or value.

    >>> parse_settings(["steps=400", "start=pink"])
    {'steps': 400, 'start': 'pink'}
    """
    parsed = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not (name and equals and value):
            raise MetamersError(f"--set {setting}: give FIELD=VALUE, e.g. steps=400")
        parsed[name] = yaml.safe_load(value)
    return parsed


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
