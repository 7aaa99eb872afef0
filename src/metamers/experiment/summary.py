"""How far an experiment is: for researchers, while it runs."""

from collections import Counter
from typing import Any

from sqlalchemy import Engine, func, select

from metamers.experiment.database import CHECK, CONFLICT, RESPONSE, SESSION, TRIAL
from metamers.experiment.trials import Design


def summary_of(engine: Engine, design: Design) -> dict[str, Any]:
    """Sessions by mode and state, the gates they failed, and of sessions that finished the answered main trials: their
    number by condition, and how many sessions saw each (reference, condition), least and most."""
    with engine.begin() as db:
        states = db.execute(select(SESSION.c.mode, SESSION.c.state, func.count()).group_by("mode", "state")).all()
        failed = db.execute(select(CHECK.c.name, func.count()).where(~CHECK.c.passed).group_by("name")).all()
        conflicts = db.execute(select(func.count()).select_from(CONFLICT)).scalar_one()
        whole = select(SESSION.c.session_id).where(SESSION.c.state == "finished")
        answered = select(SESSION.c.mode, TRIAL.c.condition, TRIAL.c.reference)
        answered = answered.join(SESSION, SESSION.c.session_id == TRIAL.c.session_id)
        answered = answered.join(
            RESPONSE, (RESPONSE.c.session_id == TRIAL.c.session_id) & (RESPONSE.c.trial_no == TRIAL.c.trial_no)
        )
        seen = db.execute(answered.where(TRIAL.c.phase == "main", TRIAL.c.session_id.in_(whole))).all()
    sessions: dict[str, dict[str, int]] = {}
    for mode, state, n in states:
        sessions.setdefault(mode, {})[state] = n
    coverage: dict[str, Any] = {}
    for mode in sessions:
        cells = Counter((condition, reference) for m, condition, reference in seen if m == mode)
        each = [cells[condition, reference] for reference, condition in design.by_cell]
        by_condition = Counter(condition for m, condition, _ in seen if m == mode)
        coverage[mode] = {"answers": dict(by_condition), "least": min(each), "most": max(each)}
    return {
        "sessions": sessions,
        "coverage": coverage,
        "failed_gates": dict(map(tuple, failed)),
        "conflicts": conflicts,
    }
