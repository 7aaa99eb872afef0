"""The trials of a session, written down before the first is shown."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from secrets import token_hex
from typing import Any

import numpy as np

from metamers.experiment.assignment import next_list, spread, trial_list
from metamers.experiment.config import PLACES, ExperimentConfig
from metamers.experiment.manifest import NATURAL, Stimulus
from metamers.experiment.pairs import pair_name, swaps
from metamers.experiment.planning import cycle_for, n_main, sources_of

ADDRESSES = {"media": "stimulus_id", "first_media": "first_id", "second_media": "second_id"}
"""In the table `trial`, where a stimulus is to be had; a trial without candidates has one only."""


@dataclass(frozen=True)
class Design:
    """An experiment as sessions are made of it."""

    config: ExperimentConfig
    stimuli: Sequence[Stimulus]

    @cached_property
    def by_cell(self) -> dict[tuple[str, str], Stimulus]:
        """The stimuli of main trials by reference and condition."""
        return {(s.source, s.condition): s for s in self.stimuli if s.phase == "main"}

    @cached_property
    def by_id(self) -> dict[str, Stimulus]:
        """All stimuli."""
        return {s.stimulus: s for s in self.stimuli}

    @cached_property
    def cycle(self) -> list[str]:
        """See `metamers.experiment.assignment.cycle_of`."""
        return cycle_for(self.config, self.stimuli)

    @cached_property
    def compared(self) -> dict[tuple[str, str], tuple[Stimulus, Stimulus]]:
        """The candidates of main trials by reference and pair, in the pair's order."""
        return {
            (source, pair_name(pair)): (self.by_cell[source, pair[0]], self.by_cell[source, pair[1]])
            for source in sources_of(self.stimuli)
            for pair in self.config.pairs or ()
            if all((source, condition) in self.by_cell for condition in pair)
        }

    @property
    def cells(self) -> Collection[tuple[str, str]]:
        """What main trials can be: each reference in each condition, or in each pair."""
        return self.compared if self.config.in_pairs else self.by_cell

    def choices_of(self, session_id: str) -> list[str]:
        """What can be answered to a trial, as the page of a session orders it."""
        choices = list(self.config.choices)
        if self.config.choice_order == "per_session":
            np.random.default_rng(int(session_id, 16)).shuffle(choices)
        return choices

    def list_for(self, in_use: Sequence[int]) -> int:
        """The trial list for a new session, given those of the sessions that are whole or going on."""
        return next_list(in_use)

    def rows(self, session_id: str, number: int) -> list[dict[str, Any]]:
        """The rows of the table `trial` for a session with trial list `number`."""
        config = self.config
        phases: dict[str, list[Stimulus]] = defaultdict(list)
        for stimulus in self.stimuli:
            phases[stimulus.phase].append(stimulus)
        main = self._main(number)
        rng = np.random.default_rng([config.seed, 0xCA7C4, number])
        catch = [phases["catch"][i] for i in rng.permutation(len(phases["catch"]))]
        places = spread(len(main), len(catch), rng)
        breaks = [round(len(main) * i / (config.breaks + 1)) for i in range(1, config.breaks + 1)]
        checks = self._headphone_checks(phases["headphones"], number)
        # In an order of their own, as that of their making follows the labels and could be clicked without looking.
        order = np.random.default_rng([config.seed, 0x0DE4, number])
        mixed = ([phases[name][i] for i in order.permutation(len(phases[name]))] for name in ("practice", "screening"))
        before = [*checks, *mixed]
        shown = [(block, s.phase, s, s.condition) for block, of_block in enumerate(before) for s in of_block]
        block = len(before)
        for i, (stimulus, condition) in enumerate(main):
            block += breaks.count(i) if i else 0
            shown += [(block, "catch", catch[c], NATURAL) for c, place in enumerate(places) if place == i]
            shown.append((block, "main", stimulus, condition))
        masks = rng.permutation(len(shown))
        rows = [
            {
                **{"session_id": session_id, "trial_no": i, "block": block, "phase": phase},
                **{"stimulus_id": s.stimulus, "reference": s.source, "condition": s.condition, "label": s.label},
                **{
                    "assigned": condition,
                    "substituted": condition != s.condition,
                    "media": token_hex(16),
                    "mask_seed": int(masks[i - 1]),
                },
                **{"state": "waiting", "attempts": 0},
            }
            for i, (block, phase, s, condition) in enumerate(shown, 1)
        ]
        return self._with_candidates(rows, number) if config.in_pairs else rows

    def _with_candidates(self, rows: list[dict[str, Any]], number: int) -> list[dict[str, Any]]:
        """The rows of trials with a reference, each with its two candidates at their places."""
        groups = [row["assigned"] if row["phase"] == "main" else row["phase"] for row in rows]
        swapped = swaps(groups, np.random.default_rng([self.config.seed, 0x51DE, number]))
        return [row | self._candidates(row, swap) for row, swap in zip(rows, swapped, strict=True)]

    def _candidates(self, row: dict[str, Any], swap: bool) -> dict[str, Any]:
        """What a trial's candidates change in its row. The right answer is the reference itself, where it is there."""
        if row["phase"] == "headphones":
            return dict.fromkeys(("first_id", "first_media", "second_id", "second_media"))
        if row["phase"] == "main":
            pair = self.compared[row["reference"], row["assigned"]]
            told = {"condition": row["assigned"], "substituted": False, "label": None}
        else:
            pair = self.by_id[row["stimulus_id"]], self._others[row["stimulus_id"]]
            told = {"label": PLACES[swap]}
        first, second = pair[::-1] if swap else pair
        ids = {"first_id": first.stimulus, "second_id": second.stimulus}
        return {**told, **ids, "first_media": token_hex(16), "second_media": token_hex(16)}

    @cached_property
    def _others(self) -> dict[str, Stimulus]:
        """For each stimulus of practice, screening and catch trials, what is shown beside it: another of them."""
        extra = [s for s in self.stimuli if s.phase not in ("main", "headphones")]
        extra = [extra[i] for i in np.random.default_rng([self.config.seed, 0x07E4]).permutation(len(extra))]
        return {s.stimulus: other for s, other in zip(extra, [*extra[1:], *extra[:1]], strict=True)}

    def _headphone_checks(self, sounds: list[Stimulus], number: int) -> list[list[Stimulus]]:
        """The sounds of each attempt, each time in another order."""
        rng = np.random.default_rng([self.config.seed, 0x4EAD, number])
        begins = [0, *(int(place) for place in 1 + rng.permutation(max(0, len(sounds) - 1)))]
        attempts = (begins[i % len(begins)] for i in range(self.config.headphones.attempts))
        return [sounds[begin:] + sounds[:begin] for begin in attempts]

    def _main(self, number: int) -> list[tuple[Stimulus, str]]:
        """The stimuli of the main trials, and the condition that each stands for."""
        sources = sources_of(self.stimuli)
        assigned = trial_list(sources, self.cycle, n_main(self.config, self.stimuli), self.config.seed, number)
        main = []
        for source, condition in assigned:
            if self.config.in_pairs:
                main += [(self.by_cell[source, NATURAL], condition)] if (source, condition) in self.compared else []
                continue
            found = self.by_cell.get((source, condition))
            if found is None and self.config.missing == "substitute_natural":
                main.append((self.by_cell[source, NATURAL], condition))
            elif found is not None:
                main.append((found, condition))
        return main
