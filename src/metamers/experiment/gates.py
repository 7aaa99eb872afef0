"""Gates: so many trials of a phase must be right before a session goes on. A headphone check may be tried again."""

from collections.abc import Sequence
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update

from metamers.experiment.config import ExperimentConfig
from metamers.experiment.database import CHECK, RESPONSE, TRIAL

NOT_NEEDED = "not needed"
"""The state of the trials of a further attempt, once a gate is passed."""


def may_go_on(db: Connection, config: ExperimentConfig, session_id: str, phase: str, block: int) -> bool:
    """After the last trial of a block, which is one attempt at the gate of its phase, write down how it went: False
    where that was the last attempt, and too few were right."""
    gates = {"headphones": config.headphones, "screening": config.screening}
    if phase not in gates:
        return True
    of_phase = (TRIAL.c.session_id == session_id) & (TRIAL.c.phase == phase)
    trials = db.execute(select(TRIAL.c.trial_no, TRIAL.c.block, TRIAL.c.state).where(of_phase)).all()
    if any(state in ("waiting", "shown") for _, of, state in trials if of == block):
        return True
    numbers = [number for number, of, _ in trials if of == block]
    of_block = (RESPONSE.c.session_id == session_id) & RESPONSE.c.trial_no.in_(numbers)
    answers = db.execute(select(RESPONSE.c.correct).where(of_block)).scalars()
    correct = [value for value in answers if value is not None]
    # Only wrong answers count against a participant, not files that could not be shown.
    passed = len(correct) - sum(correct) <= gates[phase].trials - gates[phase].must
    of_gate = (CHECK.c.session_id == session_id) & (CHECK.c.name == phase)
    before = db.execute(select(func.count()).select_from(CHECK).where(of_gate)).scalar_one()
    row = {"session_id": session_id, "name": phase, "attempt": before + 1, "score": sum(correct), "n": len(correct)}
    db.execute(insert(CHECK).values(**row, threshold=gates[phase].must, passed=passed))
    if passed:
        db.execute(update(TRIAL).where(of_phase, TRIAL.c.state == "waiting").values(state=NOT_NEEDED))
    return passed or any(state == "waiting" for _, _, state in trials)


def judge_anew(db: Connection, session_id: str, phase: str, block: int) -> None:
    """Take back how the attempt in a block went, as an answer to its last trial has come after all."""
    of_phase = (TRIAL.c.session_id == session_id) & (TRIAL.c.phase == phase)
    blocks = sorted(db.execute(select(TRIAL.c.block).where(of_phase).distinct()).scalars())
    of_gate = (CHECK.c.session_id == session_id) & (CHECK.c.name == phase)
    if db.execute(delete(CHECK).where(of_gate, CHECK.c.attempt == 1 + blocks.index(block))).rowcount:
        db.execute(update(TRIAL).where(of_phase, TRIAL.c.state == NOT_NEEDED).values(state="waiting"))


def not_needed(db: Connection, session_id: str) -> list[int]:
    """The trials of further attempts that a session does without."""
    found = select(TRIAL.c.trial_no).where(TRIAL.c.session_id == session_id, TRIAL.c.state == NOT_NEEDED)
    return sorted(db.execute(found).scalars())


def last_attempts(checks: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of each participant and gate, the row of the last attempt, which is the one that counts."""
    return list({(row["participant"], row["name"]): row for row in sorted(checks, key=itemgetter("attempt"))}.values())
