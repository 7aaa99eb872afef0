"""Virtual participants: they go through an experiment by the server's own door, and know no more than a browser does,
but for the answers, which they know by the files that they are shown."""

import csv
import hashlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np

from metamers.errors import MetamersError, nearest
from metamers.experiment.config import PLACES
from metamers.experiment.headphones import CHOICES
from metamers.experiment.manifest import NATURAL, Stimulus
from metamers.experiment.opened import Opened
from metamers.experiment.serving import served

if TYPE_CHECKING:
    from collections.abc import Iterator

AT_ONCE = 8
SHOWN_MS = 1400.0
"""What a trial takes besides the answer."""
EVENTS_A_MESSAGE = 64
Accuracy = Callable[[Stimulus], float]
"""How often a stimulus is named right."""


@dataclass(frozen=True)
class Visit:
    """What a participant did: the state and code at the end, and the answer to each trial, as the participant knows
    them."""

    state: str
    code: str | None
    answers: dict[int, tuple[str, str]]
    """By trial, the stimulus and the response."""


def simulate(
    opened: Opened,
    participants: int,
    seed: int,
    accuracy: Accuracy | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Visit]:
    """Let virtual participants take part, with mode `simulated`; in a new database, the same seed gives the same
    answers.

    accuracy: of screening and main trials; None for `falling`. All others are right. Of two candidates in a main trial,
    each is chosen in proportion to its accuracy.
    """
    accuracy = accuracy or falling(opened.design.stimuli)
    visits = []
    with served(opened, "simulated") as url, ThreadPoolExecutor(AT_ONCE) as pool:
        # They come `AT_ONCE` at a time, one after another, so that who gets which trials does not depend on the race.
        for first in range(0, participants, AT_ONCE):
            numbers = range(first, min(first + AT_ONCE, participants))
            arrived = [_Participant(opened, url, accuracy, seed, number) for number in numbers]
            for visit in pool.map(_Participant.visit, arrived):
                visits.append(visit)
                progress(len(visits), participants)
    return visits


def falling(stimuli: Sequence[Stimulus], natural: float = 0.9, last: float = 0.2) -> Accuracy:
    """Accuracy that falls linearly with the place of a stage among its model's, from `natural` to `last`."""
    return _by_depth(stimuli, [natural, last])


def published(path: Path, model: str, stimuli: Sequence[Stimulus]) -> Accuracy:
    """The accuracy of people for the metamers of a published model, at the same relative depth of stage.

    path: a table with the columns model, stage_index (0 for natural stimuli) and human_mean. Where the model is there
    several times, its first rows count. Raises MetamersError for another table, and a model that it has not.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        found: dict[int, float] = {}
        for row in rows:
            if row["model"] == model:
                found.setdefault(int(row["stage_index"]), float(row["human_mean"]))
    except (OSError, ValueError, KeyError) as error:
        raise MetamersError(
            f"profile '{path}' cannot be read ({error}); give a CSV file with model, stage_index, human_mean"
        ) from error
    if not found:
        known = sorted({row["model"] for row in rows})
        raise MetamersError(f"profile '{path}' has no model {model!r}{nearest(model, known)}")
    return _by_depth(stimuli, [found[index] for index in sorted(found)])


def _by_depth(stimuli: Sequence[Stimulus], curve: Sequence[float]) -> Accuracy:
    """`curve` begins with natural stimuli; its other values are spread evenly over the stages of each model."""
    stages: dict[str, dict[str, None]] = {}
    for stimulus in stimuli:
        if stimulus.condition != NATURAL:
            stages.setdefault(stimulus.model, {})[stimulus.stage] = None
    depth = {(model, stage): (i + 1) / len(names) for model, names in stages.items() for i, stage in enumerate(names)}
    places = np.linspace(0, 1, len(curve))

    def accuracy(stimulus: Stimulus) -> float:
        where = 0.0 if stimulus.condition == NATURAL else depth[stimulus.model, stimulus.stage]
        return float(np.interp(where, places, curve))

    return accuracy


class _Participant:
    """One who has agreed to take part."""

    def __init__(self, opened: Opened, url: str, accuracy: Accuracy, seed: int, number: int) -> None:
        self._stimuli = {stimulus.sha256: stimulus for stimulus in opened.design.stimuli}
        self._accuracy, self._rng = accuracy, np.random.default_rng([seed, 0x51, number])
        self._browser = httpx.Client(base_url=url, timeout=60, trust_env=False)
        self._post("/api/sessions", {})
        opening = self._post("/api/open", {})
        self._lease, self._labels = opening["lease"], opening["experiment"]["labels"]
        consent = {"decision": "agreed", "language": "en", "text_hash": "0" * 64}
        self._trials = self._post("/api/consent", consent)["trials"]
        self._events: list[dict[str, Any]] = []
        self._answers: dict[int, tuple[str, str]] = {}
        self._ms = 0.0

    def visit(self) -> Visit:
        """Answer all trials, as far as the experiment goes, and leave."""
        with closing(self._browser):
            not_needed: list[int] = []
            for part in _messages(self._trials):
                if part[0]["trial"] in not_needed:
                    continue
                sent = len(self._events)
                for trial in part:
                    self._answer(trial)
                told = self._post("/api/events", {"lease": self._lease, "events": self._events[sent:]})
                not_needed = told["not_needed"]
                if told["state"] != "running":
                    break
            end = self._post("/api/finish", {"lease": self._lease, "last_seq": len(self._events)})
        return Visit(end["state"], end["code"], self._answers)

    def _answer(self, trial: Mapping[str, Any]) -> None:
        stimulus = self._seen(trial["media"])
        candidates = [self._seen(media) for media in trial.get("candidates", ())]
        sure = stimulus.phase in ("headphones", "practice", "catch")
        if candidates and stimulus.phase == "main":
            response = PLACES[int(self._rng.random() >= _preference(*map(self._accuracy, candidates)))]
        else:
            right = self._rng.random() < (1 if sure else self._accuracy(stimulus))
            label = PLACES[candidates.index(stimulus)] if candidates else stimulus.label
            choices = CHOICES if stimulus.phase == "headphones" else self._labels
            response = _choice(self._rng, label, choices, right=bool(right))
        rt_ms = round(float(self._rng.lognormal(6.6, 0.4)), 1)
        self._answers[trial["trial"]] = stimulus.stimulus, response
        self._happens("shown", trial["trial"])
        self._ms += SHOWN_MS + rt_ms
        self._happens("answered", trial["trial"], answer={"response": response, "rt_ms": rt_ms, "timing_ok": True})

    def _seen(self, media: str) -> Stimulus:
        content = self._browser.get(f"/media/{media}").raise_for_status().content
        return self._stimuli[hashlib.sha256(content).hexdigest()]

    def _happens(self, what: str, trial: int, **more: Any) -> None:
        at = {"seq": len(self._events) + 1, "t_ms": round(self._ms, 1)}
        self._events.append({**at, "type": what, "trial": trial, **more})

    def _post(self, path: str, message: Mapping[str, Any]) -> dict[str, Any]:
        told: dict[str, Any] = self._browser.post(path, json=message).raise_for_status().json()
        return told


def _messages(trials: Sequence[Mapping[str, Any]]) -> "Iterator[list[Mapping[str, Any]]]":
    """Trials that are sent together: never of two blocks, as the state may change between them."""
    part: list[Mapping[str, Any]] = []
    for trial in trials:
        if part and (trial["block"] != part[0]["block"] or len(part) == EVENTS_A_MESSAGE):
            yield part
            part = []
        part.append(trial)
    if part:
        yield part


def _preference(one: float, other: float) -> float:
    """How often the first of two is chosen."""
    return one / (one + other) if one + other else 0.5


def _choice(rng: np.random.Generator, label: str, labels: Sequence[str], *, right: bool) -> str:
    others = [other for other in labels if other != label]
    return label if right else others[int(rng.integers(len(others)))]
