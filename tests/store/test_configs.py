"""Configuration files: read, changed, and refused with the line, the key and what is allowed."""

from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field

from metamers.errors import MetamersError
from metamers.store import read_config


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Round(Part):
    kind: Literal["round"]
    radius: Annotated[float, Field(gt=0)]


class Square(Part):
    kind: Literal["square"]
    side: float = 1.0


class Config(Part):
    name: str
    shape: Annotated[Round | Square, Field(discriminator="kind")]
    colors: list[Literal["red", "blue"]] = []


GOOD = "name: x\nshape:\n  kind: round\n  radius: 2\n"


def write(tmp_path, text):
    path = tmp_path / "c.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_it_is_read_and_changed(tmp_path):
    config = read_config(write(tmp_path, GOOD), Config, {"shape.radius": 3, "colors": ["red"]})
    assert config.shape == Round(kind="round", radius=3)
    assert config.colors == ["red"]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (GOOD.replace("radius: 2", "radius: -2"), "c.yaml, line 4: shape.radius -2: input should be greater than 0"),
        (GOOD.replace("radius: 2", "radus: 2"), "line 4: there is no key 'shape.radus'; did you mean 'radius'?"),
        (
            GOOD.replace("round", "rond"),
            "line 2: shape.kind 'rond': choose one of round, square; did you mean 'round'?",
        ),
        ("name: x\nshape: {side: 1}\n", "line 2: shape.kind is missing; give it"),
        ("shape: {kind: square}\n", "c.yaml: name is missing; give it"),
        (GOOD + "nam: y\n", "line 5: there is no key 'nam'; did you mean 'name'?; allowed: name, shape, colors"),
        (GOOD + "colors: [red, gren]\n", "line 5: colors.1 'gren': choose one of red, blue"),
        (GOOD + "name: y\n", "line 5: 'name' is there twice; keep one"),
        (GOOD + "  - z\n", "c.yaml, line 5: "),
        ("- 1\n", "holds no keys; write it as key: value"),
        ("", "holds no keys"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path, text, error):
    with pytest.raises(MetamersError) as raised:
        read_config(write(tmp_path, text), Config)
    assert error in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_change_of_what_holds_no_keys(tmp_path):
    with pytest.raises(MetamersError, match="'name' holds no keys, so 'name.first' cannot be set"):
        read_config(write(tmp_path, GOOD), Config, {"name.first": 1})


def test_a_missing_file(tmp_path):
    with pytest.raises(MetamersError, match="cannot be read .No such file"):
        read_config(tmp_path / "none.yaml", Config)
