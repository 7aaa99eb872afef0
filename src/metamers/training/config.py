"""What a training is: the content of its YAML file."""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator


def fraction(value: Any) -> Any:
    """`4/255`, as perturbations of images are given, as a number; anything else as it is.

    >>> fraction("4/255")
    0.01568627450980392
    """
    parts = value.split("/") if isinstance(value, str) else []
    try:
        return float(parts[0]) / float(parts[1]) if len(parts) == 2 else value
    except (ValueError, ZeroDivisionError):
        return value


Positive = Annotated[float, BeforeValidator(fraction), Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, BeforeValidator(fraction), Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Standard(_Part):
    """The cross-entropy of the labels, nothing else."""

    kind: Literal["standard"] = "standard"


class Adversarial(_Part):
    """The cross-entropy at what projected gradient descent finds around each stimulus (Madry et al., 2018) or, where
    `at` names the network's first module (e.g. `cochleagram`), around what that makes of it."""

    kind: Literal["adversarial"]
    at: str | None = None
    norm: Literal["l2", "linf"]
    eps: NotNegative
    steps: Count = 3
    step_size: Positive | None = None
    random_start: bool = True


class RandomPerturbation(_Part):
    """The cross-entropy at random perturbations of one size, the control of Feather et al. (2023): on the sphere for
    `l2`, at the corners of the cube for `linf`. at: as for `adversarial`."""

    kind: Literal["random_perturbation"]
    at: str | None = None
    norm: Literal["l2", "linf"]
    eps: NotNegative


Objective = Annotated[Standard | Adversarial | RandomPerturbation, Field(discriminator="kind")]


class Optimizer(_Part):
    """Stochastic gradient descent with momentum. gradient_clip: the greatest norm of all gradients together."""

    learning_rate: Positive = 0.1
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    nesterov: bool = False
    weight_decay: NotNegative = 1e-4
    gradient_clip: Positive | None = None

    @model_validator(mode="after")
    def _nesterov_needs_momentum(self) -> Self:
        if self.nesterov and self.momentum == 0:
            raise ValueError("nesterov needs a momentum above 0")
        return self


class Constant(_Part):
    """The same learning rate throughout."""

    kind: Literal["constant"]


class Step(_Part):
    """The learning rate times `factor` after every `every` epochs."""

    kind: Literal["step"]
    every: Count = 50
    factor: Annotated[float, Field(gt=0, le=1)] = 0.1


class Cosine(_Part):
    """The learning rate falls to 0 along half a cosine."""

    kind: Literal["cosine"]


class OneCycle(_Part):
    """The learning rate rises from a 25th over the first `rise` of all steps, then falls to nearly 0, while the
    momentum falls to `momentum_at_peak` and rises again (Smith & Topin, 2019, arXiv:1708.07120)."""

    kind: Literal["one_cycle"]
    rise: Annotated[float, Field(gt=0, lt=1)] = 0.3
    momentum_at_peak: Annotated[float, Field(ge=0, lt=1)] | None = None


Schedule = Annotated[Constant | Step | Cosine | OneCycle, Field(discriminator="kind")]


class Augmentation(_Part):
    """Changes of the stimuli, drawn anew each time one is seen.

    crop: pixels by which an image may be moved, its border repeated, or samples by which a sound may be, silence before
    and after it. Of images alone: flip: left and right, by half. color_jitter: brightness, contrast and saturation
    change by up to this share.
    """

    crop: Annotated[int, Field(ge=0)] = 0
    flip: bool = False
    color_jitter: Share = 0.0


class Evaluation(_Part):
    """What is measured after each epoch, on the first `n` validation stimuli: accuracy, and accuracy under projected
    gradient descent of `steps` steps where a norm and eps are given or the objective has them."""

    n: Count = 512
    norm: Literal["l2", "linf"] | None = None
    eps: Positive | None = None
    steps: Count = 10

    @model_validator(mode="after")
    def _both(self) -> Self:
        if (self.norm is None) != (self.eps is None):
            raise ValueError("give norm and eps together")
        return self


class TrainingConfig(_Part):
    """A training.

    model: as for `metamers make`; `builtin:NAME` is built anew, for as many classes as there are labels. weights: where
    it starts from: None for those of the model (random for `builtin:`), "random", a file, or the name of a model of the
    same architecture, e.g. `bundled:picto-resnet`. stimuli, validation: labeled sets, as for `metamers make`; rate,
    seconds, rms: of sounds, as there. frozen:
    patterns of weights that stay as they are. seed: of initial weights, order, augmentations and perturbations.
    processes: on one machine, one to a GPU (extra `train`).
    """

    model: str
    weights: str | None = None
    stimuli: str
    validation: str | None = None
    labels: str | None = None
    label_column: str | None = None
    label_pattern: str | None = None
    rate: Count | None = None
    seconds: Positive | None = None
    rms: Positive | None = None
    objective: Objective = Standard()
    epochs: Count
    batch_size: Count = 64
    optimizer: Optimizer = Optimizer()
    schedule: Schedule = Constant(kind="constant")
    augmentation: Augmentation = Augmentation()
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    precision: Literal["float32", "bfloat16"] = "float32"
    evaluation: Evaluation = Evaluation()
    frozen: tuple[str, ...] = ()
    seed: Annotated[int, Field(ge=0)] = 0
    device: str = "cpu"
    processes: Count = 1
