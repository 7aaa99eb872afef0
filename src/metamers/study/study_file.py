"""Reading a study's YAML file."""

import os
import re
from collections.abc import Callable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from metamers.errors import MetamersError
from metamers.store import Place, read_placed, read_preset
from metamers.study.config import StudyConfig, sourced

PRESETS = Path(str(files("metamers.study") / "presets"))
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


def read_study(path: Path | str, changes: Mapping[str, Any] | None = None) -> StudyConfig:
    """The study in a YAML file, its variables expanded and what it leaves out taken from its preset; some values (by
    dotted key) put in the place of the file's.

    Raises MetamersError that names the file, the line, the key and what is allowed.
    """
    return read_placed_study(path, changes)[0]


def read_placed_study(
    path: Path | str, changes: Mapping[str, Any] | None = None
) -> tuple[StudyConfig, Callable[[Place], str]]:
    """What `read_study` gives, and how errors name a place in it."""
    return read_placed(path, StudyConfig, changes, _keyed)


def preset(name: str) -> dict[str, Any]:
    """The values of a preset. Raises MetamersError for an unknown one."""
    return read_preset(PRESETS, name)


def completed(value: dict[str, Any]) -> dict[str, Any]:
    """A study with its variables expanded, and with what its preset says of what is left out.

    Raises MetamersError for a variable that is not set and an unknown preset.
    """
    name = value.get("preset")
    return _expanded(value if not isinstance(name, str) else {**preset(name), **value}, ())  # type: ignore[no-any-return]


def _keyed(value: dict[str, Any]) -> dict[str, Any]:
    """With sets of stimuli as keys, so that each can be changed.

    Raises MetamersError for the record that a run keeps of itself.
    """
    if "format" in value and "metamers" in value:
        raise MetamersError("this is what a run records of itself; give the file that the run was made from")
    return {key: sourced(part) if key in ("stimuli", "null_stimuli") else part for key, part in value.items()}


def _expanded(value: Any, place: Place) -> Any:
    """The value with `${VARIABLE}` in its texts replaced. Raises MetamersError for a variable that is not set."""
    if isinstance(value, dict):
        return {key: _expanded(part, (*place, key)) for key, part in value.items()}
    if isinstance(value, list):
        return [_expanded(part, (*place, i)) for i, part in enumerate(value)]
    if not isinstance(value, str):
        return value

    def replaced(match: re.Match[str]) -> str:
        if match[1] not in os.environ:
            raise MetamersError(f"the variable {match[1]} is not set; set it, or write the path out", place=place)
        return os.environ[match[1]]

    return _VARIABLE.sub(replaced, value)
