"""One batch of cells, of which none stops the others."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from metamers.errors import MetamersError
from metamers.matching import Criterion, NullDistribution, Representation
from metamers.store import Cell
from metamers.study.plan import Batch, ModelTask
from metamers.synthesis import synthesize_batch

OnStep = Callable[[int, int, int], None]

_DEVICE_FAILURES = ("out of memory", "can't allocate memory", "cuda", "mps backend")


@dataclass(frozen=True)
class Made:
    """The cells of a batch as recorded, their signals as written and before rounding (None where there are none), and
    what must be said of them."""

    cells: list[dict[str, Any]]
    signals: list[Tensor | None]
    raw: list[Tensor | None]
    notes: tuple[str, ...]


def require_matchable(tasks: Sequence[ModelTask]) -> None:
    """Raises MetamersError where no cell of a study can be made, so that it is not begun."""
    problems = (_problem(task, representation) for task in tasks for representation in task.representations)
    first: str | None = None
    for problem in problems:
        if problem is None:
            return
        first = first or problem
    raise MetamersError(first or "nothing to match: name a stage")


def synthesize_each(
    batch: Batch,
    null: NullDistribution | None,
    criterion: Criterion,
    on_step: OnStep = lambda step, limit, active: None,
    killers: Collection[int] = (),
) -> Made:
    """A batch made together or, where that fails, each by itself: a cell that fails has the verdict `error`. So have
    the rows of `killers`, which are known to kill their process and are not tried.

    Raises MetamersError where the device fails, as that says nothing of the cells.
    """

    def attempt(rows: Sequence[int]) -> Made:
        try:
            result = synthesize_batch(
                batch.task.model,
                batch.representation,
                batch.task.stimuli[list(rows)],
                recipe=batch.recipe,
                seed=batch.seed,
                null=null,
                criterion=criterion,
                progress=on_step,
            )
        except Exception as error:
            reason = _reason(error)
            if isinstance(error, OSError | MemoryError) or any(word in reason.lower() for word in _DEVICE_FAILURES):
                device = batch.task.model.device
                raise MetamersError(
                    f"device {str(device)!r} failed ({reason}); free its memory or choose another --device, and run "
                    "the same command again: it resumes"
                ) from error
            if len(rows) == 1:
                return Made([_error_cell(batch, rows[0], reason)], [None], [None], ())
        else:
            return Made(result.cells, list(result.signals), list(result.raw), tuple(result.notes))
        return joined([attempt([row]) for row in rows])

    def joined(parts: Sequence[Made]) -> Made:
        notes = tuple(dict.fromkeys(note for part in parts for note in part.notes))
        cells, signals = [c for part in parts for c in part.cells], [s for part in parts for s in part.signals]
        return Made(cells, signals, [x for part in parts for x in part.raw], notes)

    if not killers:
        return attempt(batch.rows)
    reason = "its process died each time that it was tried"
    given_up = {row: Made([_error_cell(batch, row, reason)], [None], [None], ()) for row in killers}
    safe = [row for row in batch.rows if row not in given_up]
    made = dict(zip(safe, _split(attempt(safe)) if safe else [], strict=True)) | given_up
    return joined([made[row] for row in batch.rows])


def _split(made: Made) -> list[Made]:
    return [
        Made([cell], [signal], [raw], made.notes)
        for cell, signal, raw in zip(made.cells, made.signals, made.raw, strict=True)
    ]


def _problem(task: ModelTask, representation: Representation) -> str | None:
    """Why no stimulus can be matched at a representation; None where the first or a later one can."""
    name, reason = f"stage {representation.name!r} of model {task.model.name!r}", ""
    for i in range(len(task.stimuli)):
        x = task.stimuli.read([i]).to(task.model.device).requires_grad_()
        try:
            activation = representation.of(task.model.activations(x, representation.stages))[0]
        except MetamersError as error:
            return str(error)
        except Exception as error:
            reason = reason or f"fails for '{task.stimuli.ids[i]}' ({_reason(error)})"
            continue
        if not bool(torch.isfinite(activation).all()):
            reason = reason or "is NaN or infinite"
        elif activation.numel() < 2 or bool((activation == activation[0]).all()):
            reason = reason or "is constant"
        else:
            return None
    return f"{name} {reason}, and no stimulus gives it a pattern that could be matched; choose another stage or stimuli"


def _error_cell(batch: Batch, row: int, reason: str) -> dict[str, Any]:
    """The record of a cell that could not be made."""
    stimuli = batch.task.stimuli
    cell = Cell(batch.task.model.name, batch.representation.name, batch.recipe.name, stimuli.ids[row], batch.seed)
    unknown = ("pearson_r", "spearman_rho", "snr_db", "null_pearson_r", "null_spearman_rho", "null_snr_db")
    return {
        **{"cell": cell.id, "model": cell.model, "stage": cell.stage, "recipe": cell.recipe},
        **{"reference": cell.reference, "seed": cell.seed, "label": stimuli.labels[row]},
        **dict.fromkeys((*unknown, "null_n_images", "null_n_pairs", "same_class")),
        **{"verdict": "error", "reason": reason, "n_steps": 0, "seconds": 0.0},
        "trace": {"step": [], "loss": [], "snr_db": []},
    }


def _reason(error: Exception) -> str:
    """The first line of an error of a user's model, after its type where it is not this package's."""
    text = (str(error).strip().splitlines() or [""])[0]
    return text if isinstance(error, MetamersError) else f"{type(error).__name__}: {text}".rstrip(": ")
