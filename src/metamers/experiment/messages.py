"""What a browser may send, strictly."""

from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from metamers.errors import MetamersError

M = TypeVar("M", bound=BaseModel)

_NO_NUL = r"^[^\x00]*$"
"""PostgreSQL keeps no text with a NUL."""
Duration = Annotated[float, Field(ge=0, le=86_400_000, allow_inf_nan=False)]
"""Milliseconds of the browser's own clock, at most a day."""
Text = Annotated[str, Field(max_length=200, pattern=_NO_NUL)]
LongText = Annotated[str, Field(max_length=2000, pattern=_NO_NUL)]

Lease = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
"""Of a browser tab."""

MOST_EVENTS, MOST_BYTES = 256, 64 * 1024


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Environment(_Message):
    """What a browser tells of itself; no more."""

    tz_offset_min: Annotated[int, Field(ge=-1000, le=1000)] | None = None
    viewport_w_px: Annotated[int, Field(ge=0, le=100_000)] | None = None
    viewport_h_px: Annotated[int, Field(ge=0, le=100_000)] | None = None
    screen_w_px: Annotated[int, Field(ge=0, le=100_000)] | None = None
    screen_h_px: Annotated[int, Field(ge=0, le=100_000)] | None = None
    dpr: Annotated[float, Field(gt=0, le=16)] | None = None
    refresh_hz: Annotated[float, Field(gt=0, le=1000)] | None = None
    os_family: Text | None = None
    browser_family: Text | None = None
    browser_major: Annotated[int, Field(ge=0, le=10_000)] | None = None
    client_build: Text | None = None


class Recruited(_Message):
    """How a participant came, as in the address that was followed."""

    source: Literal["prolific", "link", "lab"] = "link"
    external_id: Annotated[str, Field(max_length=128, pattern=r"^[\w.@-]+$")] | None = None
    study_ref: Text | None = None
    session_ref: Text | None = None


class Begin(_Message):
    """To begin a session."""

    environment: Environment = Environment()
    recruited: Recruited = Recruited()


class Consent(_Message):
    """The decision on the consent form, in the language in which it was read."""

    decision: Literal["agreed", "declined"]
    language: Annotated[str, Field(pattern=r"^[a-z]{2}$")]
    text_hash: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Answer(_Message):
    """What was answered to a trial, and what was measured. response: None where the time was over, or nothing could be
    shown (media_ok false)."""

    response: Text | None
    timed_out: bool = False
    rt_ms: Duration | None = None
    fixation_ms: Duration | None = None
    stimulus_ms: Duration | None = None
    mask_ms: Duration | None = None
    hidden_ms: Duration | None = None
    output_latency_ms: Duration | None = None
    refresh_hz: Annotated[float, Field(gt=0, le=1000)] | None = None
    dropped_frames: Annotated[int, Field(ge=0, le=100_000)] | None = None
    timing_ok: bool | None = None
    media_ok: bool = True


class Event(_Message):
    """One thing that happened. `shown` and `answered` are of a `trial`; `answered` has an `answer`; `form` has
    `items`."""

    seq: Annotated[int, Field(ge=1, le=1_000_000)]
    type: Literal["shown", "answered", "form", "focus", "blur", "visible", "hidden", "resize", "fullscreen", "error"]
    t_ms: Duration
    trial: Annotated[int, Field(ge=1, le=100_000)] | None = None
    answer: Answer | None = None
    form: Annotated[str, Field(pattern=r"^[a-z_]{1,32}$")] | None = None
    items: dict[Annotated[str, Field(pattern=r"^[a-z_]{1,64}$")], LongText] | None = None
    detail: LongText | None = None


class Events(_Message):
    """Events in the order of their numbers, from one tab."""

    lease: Lease
    events: Annotated[list[Event], Field(min_length=1, max_length=MOST_EVENTS)]


class Finish(_Message):
    """To finish: the number of the last event that was sent."""

    lease: Lease
    last_seq: Annotated[int, Field(ge=0, le=1_000_000)]


class Unsent(_Message):
    """A file that the page made of what it could not send: `lease` is that of its tab, `last_seq` as of `Finish`."""

    version: Literal[1]
    session: Lease
    lease: Lease
    last_seq: Annotated[int, Field(ge=0, le=1_000_000)]
    events: list[Event]


class Withdraw(_Message):
    """To leave for good; keep: whether the data may be kept."""

    lease: Lease
    keep: bool


def read_file(path: Path, kind: type[M], repair: str) -> M:
    """What a file of JSON holds. Raises MetamersError, with the place and the repair, where it is none of its kind."""
    try:
        return kind.model_validate_json(path.read_bytes())
    except OSError as error:
        raise MetamersError(f"{path}: cannot be read ({error.strerror}); {repair}") from error
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "content"
        raise MetamersError(f"{path}: {where}: {first['msg']}; {repair}") from None
