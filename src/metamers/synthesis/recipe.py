"""Recipes: how a metamer is found, as plain data."""

import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from torch import Tensor

from metamers.errors import MetamersError, nearest

OPTIMIZERS = ("normalized_gradient", "adam", "lbfgs")
SCHEDULES = ("constant", "halving", "cosine")
STARTS = ("noise", "pink")
LOSSES = ("norm", "squares")
RELU_GRADIENTS = ("true", "identity")
PRECISIONS = ("float32", "bfloat16")
PENALTIES = ("total_variation",)
UNITS = ("all", "random_single", "coarse_to_fine")

Penalty = Callable[[Tensor], Tensor]
"""Signals [N, ...] to a penalty for each, [N]."""


@dataclass(frozen=True)
class Recipe:
    """How a metamer is sought.

    optimizer: `normalized_gradient` (steps of fixed length along the gradient), `adam` or `lbfgs`.
    step_size: in units of the stimulus (whose range is 1 for images, 2 for sounds); scale_step: multiply it by
    sqrt(input values / 150,528) for images (40,000 for sound), as the published lengths were for 224 x 224 x 3 values.
    schedule: of the step size: `constant`, `halving` (after every `halve_every` steps), or `cosine` (to 0 at `steps`);
    `constant` and `cosine` after a linear rise over `warmup` steps.
    steps: the limit. early_stop: stop a stimulus once it is a metamer and no longer gains, or stops improving.
    keep_best: give the iterate of the lowest loss, not the last one.
    loss: the relative error ||a - a0|| / ||a0|| (`norm`) or its square (`squares`).
    units: those of the stage that are matched: `all`, or in the first 400 steps at each step size but the last a single
    one, drawn anew every 50 steps (`random_single`), or at each step size but the last filters of ever higher rates and
    scales (`coarse_to_fine`); both without keep_best, and not by `lbfgs`.
    perturb_every: after every so many steps, a stimulus whose SNR gained less than 0.5 dB in 100 steps begins anew from
    its best iterate (the last, without keep_best), to which Gaussian noise of `perturb_std` is added; 0 for never.
    start: `noise` (Gaussian around mid-range, `start_std`) or `pink` (amplitude 1/f) noise; silence is mid-range.
    relu_gradient: `identity` passes the gradient through the ReLU whose output is the stage's output.
    penalty: `total_variation` or a function, added to the loss times `penalty_weight`.
    precision: of the forward pass while searching: `float32`, or `bfloat16` autocast. channels_last, compile: lay the
    weights out channels last, or run `torch.compile`, while searching. Verdicts are always of the plain float32 model.

    Raises MetamersError for values out of range.
    """

    name: str
    optimizer: str = "adam"
    step_size: float = 0.02
    scale_step: bool = False
    schedule: str = "cosine"
    halve_every: int = 3000
    warmup: int = 0
    steps: int = 1600
    early_stop: bool = True
    keep_best: bool = True
    loss: str = "norm"
    units: str = "all"
    perturb_every: int = 0
    perturb_std: float = 0.05
    start: str = "noise"
    start_std: float = 0.05
    relu_gradient: str = "true"
    penalty: str | Penalty | None = None
    penalty_weight: float = 1.0
    precision: str = "float32"
    channels_last: bool = False
    compile: bool = False

    def __post_init__(self) -> None:
        for field, allowed in _ALLOWED.items():
            value = getattr(self, field)
            is_free = field == "penalty" and (value is None or callable(value))
            if value not in allowed and not is_free:
                options = ", ".join(allowed)
                raise MetamersError(f"recipe {field} {value!r}: choose one of {options}{nearest(str(value), allowed)}")
        for field in ("steps", "halve_every", "warmup", "perturb_every"):
            if type(getattr(self, field)) is not int:
                raise MetamersError(f"recipe {field} {getattr(self, field)!r} must be a whole number")
        for field in ("step_size", "start_std", "perturb_std", "penalty_weight"):
            if not isinstance(getattr(self, field), int | float) or not math.isfinite(getattr(self, field)):
                raise MetamersError(f"recipe {field} {getattr(self, field)!r} must be a finite number")
        for field in ("step_size", "steps", "halve_every"):
            if not getattr(self, field) > 0:
                raise MetamersError(f"recipe {field} {getattr(self, field)} must be above 0")
        for field in ("start_std", "perturb_std", "penalty_weight", "warmup", "perturb_every"):
            if not getattr(self, field) >= 0:
                raise MetamersError(f"recipe {field} {getattr(self, field)} must not be negative")
        if self.perturb_every == 1:
            raise MetamersError(
                "recipe perturb_every 1 leaves no step between two perturbations; give 0 (never), or a multiple of 50, "
                "as gains are looked at every 50 steps"
            )
        if self.units != "all" and (self.keep_best or self.optimizer == "lbfgs"):
            what = "keep_best" if self.keep_best else "optimizer 'lbfgs'"
            raise MetamersError(
                f"recipe {what} compares losses from step to step, which units {self.units!r} changes; "
                "set keep_best=no and optimizer=normalized_gradient or adam, or units=all"
            )

    def with_options(self, **options: Any) -> "Recipe":
        """This recipe with some fields changed, its name marked with a hash of what differs.

        Raises MetamersError for an unknown field.

        >>> Recipe("fast").with_options(steps=100).name
        'fast-3e55f8'
        """
        names = [field.name for field in fields(self)]
        for option in options:
            if option not in names:
                raise MetamersError(f"no recipe option {option!r}{nearest(option, names)}")
        changed = {key: value for key, value in options.items() if value != getattr(self, key)}
        if not changed or "name" in changed:
            return replace(self, **changed)
        text = json.dumps({k: describe(v) for k, v in changed.items()}, sort_keys=True)
        return replace(self, **changed, name=f"{self.name}-{hashlib.sha256(text.encode()).hexdigest()[:6]}")

    def to_json(self) -> dict[str, Any]:
        """All fields as plain values; a function of one's own is given by its name."""
        return {key: describe(value) for key, value in asdict(self).items()}


_ALLOWED = {
    "optimizer": OPTIMIZERS,
    "schedule": SCHEDULES,
    "start": STARTS,
    "loss": LOSSES,
    "units": UNITS,
    "relu_gradient": RELU_GRADIENTS,
    "penalty": PENALTIES,
    "precision": PRECISIONS,
}


def describe(value: Any) -> Any:
    """A field's value as JSON can hold it: a function by its name, another callable by that of its class."""
    return getattr(value, "__qualname__", type(value).__qualname__) if callable(value) else value
