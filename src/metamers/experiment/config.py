"""What an experiment is: the content of `experiment.yaml`."""

from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from metamers.store import read_preset

PRESETS = Path(str(files("metamers.experiment") / "presets"))
VERSION: Literal[1] = 1
"""Of experiment.yaml."""

PLACES = ("first", "second")
"""Of the candidates of a pair: on the left and on the right, or heard first and second."""

Count = Annotated[int, Field(ge=0)]
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=4000)]
Paragraphs = Annotated[
    tuple[Text, ...],
    Field(min_length=1, max_length=40),
    BeforeValidator(lambda value: (value,) if isinstance(value, str) else value),
]
Language = Literal["en", "de"]
"""In which the page can be read."""
Milliseconds = Annotated[int, Field(ge=0, le=60_000)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Times(_Part):
    """Of a trial with images: how long each part is shown; deadline_ms: to answer, None for no deadline."""

    blank_ms: Milliseconds = 500
    fixation_ms: Milliseconds = 300
    stimulus_ms: Annotated[int, Field(ge=1, le=60_000)] = 300
    mask_ms: Milliseconds = 300
    deadline_ms: Annotated[int, Field(ge=100, le=600_000)] | None = None


class Gate(_Part):
    """So many trials, of which so many must be right."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    trials: Count
    must: Annotated[int, Field(ge=0, alias="pass")]

    @model_validator(mode="after")
    def _can_be_passed(self) -> Self:
        if self.must > self.trials:
            raise ValueError(f"{self.must} of {self.trials} cannot be right; lower pass")
        return self


class Headphones(Gate):
    """A gate that may be tried so often."""

    attempts: Annotated[int, Field(ge=1, le=2)] = 1


class Exclude(_Part):
    """Who, of those who finished, does not count besides those who failed a gate or the catch trials.

    median_rt_ms: the least and most that the median response time of the main trials may be; timing_ok: the least
    share of main trials with timing_ok; None: whatever they are. substituted: not single trials that showed the
    reference for want of a metamer; otherwise they count as natural ones.
    """

    median_rt_ms: tuple[Annotated[float, Field(ge=0)], Annotated[float, Field(ge=0, le=600_000)]] | None = None
    timing_ok: Annotated[float, Field(ge=0, le=1)] | None = None
    substituted: bool = True

    @model_validator(mode="after")
    def _leaves_room(self) -> Self:
        if self.median_rt_ms is not None and self.median_rt_ms[0] >= self.median_rt_ms[1]:
            raise ValueError(
                f"nobody is between the median_rt_ms {list(self.median_rt_ms)}; give the lower bound first"
            )
        return self


class Texts(_Part):
    """What participants read, in place of what the page has of its own: None for that."""

    title: Annotated[Text, Field(max_length=100)] | None = None
    consent: Paragraphs | None = None
    instructions: Paragraphs | None = None
    debriefing: Text | None = None


class Codes(_Part):
    """What a participant hands to whoever pays, by outcome; None: a random one for each session."""

    complete: str | None = None
    screened_out: str | None = None
    declined: str | None = None


class ExperimentConfig(_Part):
    """An experiment in which people name the metamers of a run.

    task: `image` and `sound` are named with one of `labels`, a `word` is typed from them; in an `image_pair` or
    `sound_pair`, one of two metamers of a reference is chosen as more like it. pairs: the conditions (MODEL/STAGE) that
    are compared, None for `metamers.experiment.pairs.default_pairs`. choice_order: whether all see the choices in the
    order of `labels`, or each session has its own, drawn for it. main_trials: None for as many
    as there are references, at most 400. retention_days: how old sessions may be before `purge` deletes them.
    natural_share: of the main trials; None for that of each other condition.
    missing: what takes the place of a (reference, condition) without a verified metamer: `refuse` makes no experiment,
    `substitute_natural` shows the reference and says so in the data, `skip` leaves the trial out. unanswered: what
    becomes of a trial that was shown and not answered. demographics: whether age and gender are asked for, which need
    not be told. fullscreen: whether the page asks to fill the screen. return_url: where participants go at the end,
    with {code} in it.
    texts: by language, the consent form as the ethics committee has approved it, and others; where there are any, the
    page is in these languages only.
    seed: of the stimuli's names, the trial lists and all else.
    """

    version: Literal[1] = VERSION
    preset: str | None = None
    name: str
    task: Literal["image", "sound", "word", "image_pair", "sound_pair"]
    labels: tuple[str, ...]
    pairs: Annotated[tuple[tuple[str, str], ...], Field(min_length=1)] | None = None
    choice_order: Literal["fixed", "per_session"] = "fixed"
    times: Times = Times()
    headphones: Headphones = Headphones(trials=0, must=0)
    practice: Count = 16
    screening: Gate = Gate(trials=12, must=7)
    catch: Gate = Gate(trials=16, must=15)
    exclude: Exclude = Exclude()
    main_trials: Annotated[int, Field(ge=1)] | None = None
    natural_share: Annotated[float, Field(gt=0, lt=1)] | None = None
    missing: Literal["refuse", "substitute_natural", "skip"] = "refuse"
    breaks: Count = 3
    unanswered: Literal["skip", "repeat"] = "skip"
    codes: Codes = Codes()
    demographics: bool = False
    fullscreen: bool = False
    return_url: Annotated[str, Field(pattern=r"^https://.*\{code\}")] | None = None
    abandon_after_minutes: Annotated[int, Field(ge=1)] = 60
    retention_days: Annotated[int, Field(ge=1)] | None = None
    texts: dict[Language, Texts] = {}
    seed: Count = 0

    @model_validator(mode="before")
    @classmethod
    def _completed(cls, value: Any) -> Any:
        name = value.get("preset") if isinstance(value, dict) else None
        return value if not isinstance(name, str) else {**preset(name), **value}

    @model_validator(mode="after")
    def _labels_differ(self) -> Self:
        if len(self.labels) < 2 and not self.in_pairs:
            raise ValueError(f"{len(self.labels)} labels; people need at least two to choose from")
        if len(set(self.labels)) < len(self.labels):
            raise ValueError("a label is there twice; give each once")
        if self.task == "word" and len({label.casefold() for label in self.labels}) < len(self.labels):
            raise ValueError("two labels differ only in case, which nobody can type; give one")
        if self.task != "word" and len(self.labels) > 64:
            raise ValueError(f"{len(self.labels)} labels: at most 64 can be chosen from; use the task word")
        return self

    @model_validator(mode="after")
    def _pairs_can_be_compared(self) -> Self:
        if not self.in_pairs:
            if self.pairs is not None:
                raise ValueError(
                    f"pairs are of the tasks image_pair and sound_pair, not of {self.task}; leave them out"
                )
            return self
        if self.missing == "substitute_natural":
            raise ValueError("missing: substitute_natural would compare a reference with itself; use refuse or skip")
        if self.choice_order != "fixed":
            raise ValueError("choice_order: the sides of pairs are drawn for each trial; leave it out")
        if self.natural_share is not None:
            raise ValueError("natural_share: no natural stimuli are compared; leave it out")
        if self.practice + self.screening.trials + self.catch.trials == 1:
            raise ValueError(
                "one trial of practice, screening or catch has nothing to be told from; ask for two or none"
            )
        pairs = [frozenset(pair) for pair in self.pairs or ()]
        if any(len(pair) == 1 for pair in pairs) or len(set(pairs)) < len(pairs):
            raise ValueError(
                "pairs: a condition is compared with itself, or two are compared twice; give each pair once"
            )
        return self

    @property
    def in_pairs(self) -> bool:
        """Whether two candidates are compared with a reference, and nothing is named."""
        return self.task.endswith("_pair")

    @property
    def choices(self) -> tuple[str, ...]:
        """What can be answered to a trial."""
        return PLACES if self.in_pairs else self.labels

    @property
    def for_page(self) -> dict[str, Any]:
        """What the page is told of it, as JSON."""
        texts = {language: own.model_dump(mode="json", exclude_none=True) for language, own in self.texts.items()}
        return {
            **{"task": self.task, "labels": list(self.choices), "times": self.times.model_dump()},
            **{"demographics": self.demographics, "fullscreen": self.fullscreen, "texts": texts},
        }


def preset(name: str) -> dict[str, Any]:
    """The values of a preset. Raises MetamersError for an unknown one."""
    return read_preset(PRESETS, name)
