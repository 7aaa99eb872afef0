"""What a study is: the content of its YAML file."""

from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Entries = TypeVar("Entries", bound=tuple[Any, ...])
Analysis = Literal["recognition", "accuracy", "confusion", "consistency", "idiosyncrasy", "merit", "seeds"]
Quantile = Literal["max", "0.9999", "0.999", "0.99", "0.95", "0.9", "0.5"]
Control = Literal["start", "reference", "untrained"]
InputSize = Count | tuple[Count, Count]


def sourced(value: Any) -> Any:
    """`bundled:picto-resnet` alone is short for {source: bundled:picto-resnet}."""
    return {"source": value} if isinstance(value, str) else value


def _named(value: Any) -> Any:
    """`fast` alone is short for {name: fast}."""
    return {"name": value} if isinstance(value, str) else value


def _listed(value: Any) -> Any:
    """A single entry is short for a list of one."""
    return value if isinstance(value, list | tuple) else [value]


def _text(value: Any) -> Any:
    """A stage may have a number for its name."""
    return str(value) if type(value) is int else value


Stage = Annotated[str, BeforeValidator(_text, json_schema_input_type=str | int)]
Stages = Annotated[
    tuple[Stage, ...], BeforeValidator(_listed, json_schema_input_type=tuple[Stage, ...] | Stage), Field(min_length=1)
]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class StimuliConfig(_Part):
    """Stimuli, as for `metamers make`: a folder, archive, file or `bundled:` set; where their labels come from; and, of
    sounds, what they are brought to."""

    source: str
    labels: str | None = None
    label_column: str | None = None
    label_pattern: str | None = None
    limit: Count | None = None
    rate: Count | None = None
    seconds: Positive | None = None
    rms: Positive | None = None


class ModelConfig(_Part):
    """A generating model, as for `metamers make`. stages: names, patterns, `all`, or A+B for two at once; None for
    those of the study."""

    source: str
    weights: str | None = None
    input_size: InputSize | None = None
    stages: Stages | None = None


class ObserverConfig(_Part):
    """An observing model, as for `metamers recognize`."""

    source: str
    weights: str | None = None
    input_size: InputSize | None = None
    labels: str = "identity"
    decision: Literal["first", "mean-probability"] = "first"


class RecipeConfig(_Part):
    """A recipe by its name, and which of its fields are set otherwise."""

    name: str
    set: dict[str, Any] = {}

    @model_validator(mode="after")
    def _keeps_its_name(self) -> Self:
        if "name" in self.set:
            raise ValueError("a recipe's name tells its cells from others; leave name out of set")
        return self


class CriterionConfig(_Part):
    """What makes a metamer: all measures above a quantile of the null and, of a model that makes one, its decision."""

    quantile: Annotated[Quantile, BeforeValidator(str, json_schema_input_type=Quantile | float)] = "max"
    same_decision: bool = True


def _each_once(values: Entries) -> Entries:
    """Raises ValueError for an entry that is there twice."""
    known: list[Any] = []
    for value in values:
        if value in known:
            raise ValueError(
                f"{getattr(value, 'source', getattr(value, 'name', value))} is there twice; name each once"
            )
        known.append(value)
    return values


Model = Annotated[ModelConfig, BeforeValidator(sourced, json_schema_input_type=ModelConfig | str)]
Models = Annotated[
    tuple[Model, ...], BeforeValidator(_listed, json_schema_input_type=tuple[Model, ...] | Model), Field(min_length=1)
]
Observer = Annotated[ObserverConfig, BeforeValidator(sourced, json_schema_input_type=ObserverConfig | str)]
Observers = Annotated[
    tuple[Observer, ...],
    BeforeValidator(_listed, json_schema_input_type=tuple[Observer, ...] | Observer),
    AfterValidator(_each_once),
]
Recipe = Annotated[RecipeConfig, BeforeValidator(_named, json_schema_input_type=RecipeConfig | str)]
Recipes = Annotated[
    tuple[Recipe, ...],
    BeforeValidator(_listed, json_schema_input_type=tuple[Recipe, ...] | Recipe),
    *(Field(min_length=1), AfterValidator(_each_once)),
]
Seeds = Annotated[
    tuple[int, ...],
    BeforeValidator(_listed, json_schema_input_type=tuple[int, ...] | int),
    *(Field(min_length=1), AfterValidator(_each_once)),
]
Stimuli = Annotated[StimuliConfig, BeforeValidator(sourced, json_schema_input_type=StimuliConfig | str)]
Controls = Annotated[
    tuple[Control, ...],
    BeforeValidator(_listed, json_schema_input_type=tuple[Control, ...] | Control),
]
Analyses = Annotated[
    tuple[Analysis, ...], BeforeValidator(_listed, json_schema_input_type=tuple[Analysis, ...] | Analysis)
]


def _without_what_presets_give(schema: dict[str, Any]) -> None:
    """A preset may give what is needed."""
    schema["anyOf"] = [{"required": ["preset"]}, {"required": schema.pop("required")}]


class StudyConfig(_Part):
    """A study: the metamers of models at stages, from stimuli, by recipes and seeds, and who else names them.

    A model, observer or set of stimuli may be its source alone, a recipe its name alone, and a list of one its entry
    alone. preset: values for what is left out (src/metamers/study/presets/). `${VARIABLE}` in any text is that variable
    of the environment.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, json_schema_extra=_without_what_presets_give
    )

    preset: str | None = None
    """Gives values for what is left out: quick, feather2023-vision, feather2023-audio."""
    models: Models
    """Generating models, as for `metamers make`."""
    stages: Stages = ("all",)
    """Names, patterns, `all`, or A+B for two at once; `metamers stages MODEL` lists them."""
    objective: Literal["activation", "spatial_mean", "gram"] = "activation"
    """What of a stage is matched: its activations, their spatial means, or their Gram matrix."""
    stimuli: Stimuli
    """The references: a folder, archive, file or `bundled:` set."""
    null_stimuli: Stimuli | None = None
    """Unrelated stimuli for the null distributions, 50 or more; without them, the stimuli if they are 200 or more."""
    null_pairs: Count = 1_000_000
    """Of different null stimuli, at most."""
    recipes: Recipes = (RecipeConfig(name="fast"),)
    """How metamers are searched for: fast, adam, feather2023, ..."""
    seeds: Seeds = (0,)
    """Of the searches' starts; each makes metamers of its own."""
    criterion: CriterionConfig = CriterionConfig()
    """What makes a metamer."""
    observers: Observers = ()
    """Other models that name the metamers."""
    controls: Controls = ()
    """What observers see besides: what searches start from, references as written, metamers of an untrained net."""
    analyses: Analyses = ()
    """Tables to write, as by `metamers analyze`."""
    report: bool = True
    """Whether to write the page."""
    batch_size: Count = 16
    """Stimuli that are searched for together."""
    device: str = "cpu"
    """cpu, cuda, cuda:1, mps."""

    @model_validator(mode="before")
    @classmethod
    def _completed(cls, value: Any) -> Any:
        from metamers.study.study_file import completed

        return completed(value) if isinstance(value, dict) else value
