"""What an answer to a trial is worth."""

from collections.abc import Mapping
from typing import Any

from metamers.experiment.config import ExperimentConfig
from metamers.experiment.headphones import CHOICES
from metamers.experiment.messages import Answer
from metamers.experiment.trials import Design


def scored(design: Design, trial: Mapping[str, Any], answer: Answer) -> tuple[dict[str, Any], str | None]:
    """The response as it is kept, and whether it is right; or why it can be none. What could not be shown, and what has
    no right answer, has no score. Of two candidates in a main trial, the condition of the chosen one is kept."""
    response, problem = _canonical(design.config, answer, trial["phase"])
    correct = None if not answer.media_ok or trial["label"] is None else response == trial["label"]
    if design.config.in_pairs and trial["phase"] == "main" and response is not None:
        response = design.by_id[trial[f"{response}_id"]].condition
    return {"response": response, "correct": correct}, problem


def _canonical(config: ExperimentConfig, answer: Answer, phase: str) -> tuple[str | None, str | None]:
    """The choice that was made, or why it is none."""
    if answer.response is None:
        over = answer.timed_out and config.times.deadline_ms is not None
        return None, None if over or not answer.media_ok else "an answer is needed"
    said, choices = answer.response, CHOICES if phase == "headphones" else config.choices
    if config.task == "word" and phase != "headphones":
        said = {label.casefold(): label for label in choices}.get(said.strip().casefold(), said)
    return (said, None) if said in choices else (None, "no such choice")
