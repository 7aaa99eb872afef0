"""What an experiment asks of people, and what it can tell, before anyone is asked."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from typing import TYPE_CHECKING

from metamers.experiment.assignment import cycle_of
from metamers.experiment.manifest import NATURAL, Stimulus
from metamers.experiment.pairs import pair_name

if TYPE_CHECKING:
    from metamers.experiment.config import ExperimentConfig

MOST_TRIALS = 400
ANSWER_SECONDS = {"image": 1.2, "sound": 2.0, "word": 5.0, "image_pair": 3.0, "sound_pair": 2.0}
"""About what people take to answer, and to start the next trial."""


@dataclass(frozen=True)
class Plan:
    """An experiment in numbers, of `participants` who finish.

    conditions: the natural one among them; where pairs are compared, the pairs stand for conditions, here and below.
    trials_per_condition: of a participant, least and most of the conditions other than natural. seen: how many
    participants see each (source, condition), least and most. trials, minutes, megabytes: where each gate is passed at
    the first attempt. se_participant, se_mean: the standard error of a condition's proportion at 0.5 (binomial), of one
    participant and of the mean over all.
    """

    participants: int
    conditions: int
    sources: int
    main_trials: int
    natural_trials: tuple[int, int]
    trials_per_condition: tuple[int, int]
    trials: int
    seen: tuple[int, int]
    minutes: float
    megabytes: float
    se_participant: float
    se_mean: float


def conditions_of(stimuli: Sequence[Stimulus]) -> list[str]:
    """The conditions of the main trials, the natural one first, models and stages in the order of the run."""
    found = dict.fromkeys(stimulus.condition for stimulus in stimuli if stimulus.phase == "main")
    return [NATURAL, *(condition for condition in found if condition != NATURAL)]


def sources_of(stimuli: Sequence[Stimulus]) -> list[str]:
    """The references that main trials are of."""
    return list(dict.fromkeys(stimulus.source for stimulus in stimuli if stimulus.phase == "main"))


def cycle_for(config: "ExperimentConfig", stimuli: Sequence[Stimulus]) -> list[str]:
    """The conditions, or the pairs that are compared, in turns: see `metamers.experiment.assignment.cycle_of`."""
    pairs = [pair_name(pair) for pair in config.pairs or ()]
    return cycle_of(pairs or conditions_of(stimuli), NATURAL, config.natural_share)


def n_main(config: "ExperimentConfig", stimuli: Sequence[Stimulus]) -> int:
    """How many main trials a participant has."""
    return min(config.main_trials or MOST_TRIALS, len(sources_of(stimuli)))


def plan(config: "ExperimentConfig", stimuli: Sequence[Stimulus], folder: Path, participants: int) -> Plan:
    """See `Plan`."""
    cycle = cycle_for(config, stimuli)
    n, n_sources = n_main(config, stimuli), len(sources_of(stimuli))
    counts = Counter(cycle)

    def bounds(condition: str) -> tuple[int, int]:
        # Of n trials, each place of the cycle has n over its length, rounded down or up.
        places, (least, over) = counts[condition], divmod(n, len(cycle))
        return places * least + max(0, over - (len(cycle) - places)), places * least + min(places, over)

    others = [bounds(condition) for condition in counts if condition != NATURAL] or [(0, 0)]
    trials_per_condition = min(low for low, _ in others), max(high for _, high in others)
    per_cell = participants * n / n_sources / len(cycle)
    shares = [counts[condition] * per_cell for condition in counts]
    extra = config.headphones.trials + config.practice + config.screening.trials + config.catch.trials
    seconds = _shown_seconds(config) + ANSWER_SECONDS[config.task]
    files = 3 if config.in_pairs else 1
    size = sum((folder / stimulus.file).stat().st_size for stimulus in stimuli) / max(1, len(stimuli))
    mean_trials = max(1e-9, n * counts[next(c for c in [*counts][::-1])] / len(cycle))
    return Plan(
        participants=participants,
        conditions=len(counts),
        sources=n_sources,
        main_trials=n,
        natural_trials=bounds(NATURAL),
        trials_per_condition=trials_per_condition,
        trials=n + extra,
        seen=(int(min(shares)), -int(-max(shares) // 1)),
        minutes=(n + extra) * seconds / 60,
        megabytes=(n + extra) * files * size / 1e6,
        se_participant=sqrt(0.25 / mean_trials),
        se_mean=sqrt(0.25 / mean_trials / participants),
    )


def _shown_seconds(config: "ExperimentConfig") -> float:
    """About how long a trial takes before the choices appear."""
    times = config.times
    parts_ms = times.blank_ms + times.fixation_ms + times.stimulus_ms + times.mask_ms
    by_task = {"image": parts_ms / 1000, "image_pair": times.blank_ms / 1000, "sound_pair": 3 * 2.0 + 2 * 0.5}
    return by_task.get(config.task, 2.0)
