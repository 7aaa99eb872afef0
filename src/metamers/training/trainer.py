"""The one loop that trains, on one process or several."""

import csv
import hashlib
import io
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from metamers.errors import MetamersError
from metamers.models import StagedModel
from metamers.models.capture import tensors_in
from metamers.models.state_dicts import put_weights
from metamers.stimuli.written import VALUE_RANGES
from metamers.store import write_whole
from metamers.training.adversarial import adversarial
from metamers.training.attacks import Attack, Bounds, Logits, strongest
from metamers.training.augmentation import augmented
from metamers.training.checkpoints import Checkpoint, save_checkpoint
from metamers.training.config import Adversarial, RandomPerturbation, TrainingConfig
from metamers.training.labeled import LabeledStimuli, as_signals
from metamers.training.processes import Processes
from metamers.training.random_perturbation import randomly_perturbed
from metamers.training.schedules import rates
from metamers.training.standard import unchanged

CHECK_EVERY = 50
"""Steps between looks at the loss; between them nothing waits for the device."""
EVALUATION_BATCH = 256

Objective = Callable[[Logits, Tensor, Tensor, torch.Generator], Tensor]
"""From a network's logits, stimuli [N, ...], labels [N] and random numbers to the stimuli that it is trained on."""
Progress = Callable[[float, float, str], None]


@dataclass(frozen=True)
class Task:
    """A model whose network is to be trained, and on what. `weights` names those that are trained."""

    model: StagedModel
    stimuli: LabeledStimuli
    validation: LabeledStimuli | None
    weights: tuple[str, ...]


@dataclass(frozen=True)
class Watch:
    """Who is told: of the work done (in epochs), of each epoch's measures, and of what must be known."""

    progress: Progress = lambda done, total, what: None
    epoch: Callable[[list[dict[str, Any]]], None] = lambda history: None
    say: Callable[[str], None] = lambda note: None


def fit(
    task: Task, config: TrainingConfig, out: Path, processes: Processes, checkpoint: Checkpoint | None, watch: Watch
) -> list[dict[str, Any]]:
    """Train the network of `task` in place and give a row of measures for each epoch.

    `out`/checkpoints gets the state after each epoch and `out`/log.csv the measures. From a checkpoint the training
    ends with the same weights as one that was not interrupted. Raises MetamersError where the loss is not finite, where
    weights get no gradient, and where the disk fails.
    """
    loop = _Loop(task, config, processes)
    history = [] if checkpoint is None else list(checkpoint.history)
    if checkpoint is not None:
        loop.restore(checkpoint)
    with torch.random.fork_rng(devices=[processes.device] if processes.device.type == "cuda" else []):
        for epoch in range(len(history), config.epochs):
            begun = time.monotonic()
            row = {"epoch": epoch + 1, **loop.epoch(epoch, watch.progress)}
            if processes.rank == 0:
                row |= loop.evaluate() | {"seconds": round(time.monotonic() - begun, 1)}
            history.append(row)
            if processes.rank == 0:
                saved = Checkpoint(epoch + 1, loop.state(), history)
                save_checkpoint(out / "checkpoints", saved, config.model_dump(mode="json"))
                write_log(out / "log.csv", history)
                watch.epoch(history)
    loop.network.eval()
    return history


def write_log(path: Path, history: Sequence[dict[str, Any]]) -> None:
    """The measures of each epoch as CSV."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(dict.fromkeys(key for row in history for key in row)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    write_whole(path, text.getvalue().encode())


class _Loop:
    def __init__(self, task: Task, config: TrainingConfig, processes: Processes) -> None:
        self.task, self.config, self.processes = task, config, processes
        self.network = task.model.network.to(processes.device)
        weights = dict(self.network.named_parameters())
        self.trained = {name: weights[name].requires_grad_() for name in task.weights}
        self.wrapped = processes.wrap(self.network)
        chosen = config.optimizer
        self.optimizer = torch.optim.SGD(
            self.trained.values(),
            chosen.learning_rate,
            chosen.momentum,
            weight_decay=chosen.weight_decay,
            nesterov=chosen.nesterov,
        )
        self.inner = _inner(task.model, config, processes)
        self.bounds = VALUE_RANGES[task.model.kind] if self.inner is None else None
        self.objective = objective_of(config, self.bounds)
        self.steps = len(task.stimuli) // config.batch_size

    def epoch(self, epoch: int, progress: Progress) -> dict[str, Any]:
        """Train for one epoch; its mean loss, the share right on what was trained on, and the last learning rate."""
        config, processes = self.config, self.processes
        random = torch.Generator().manual_seed(_seed(config.seed, epoch, processes.rank, "perturbations"))
        torch.manual_seed(_seed(config.seed, epoch, processes.rank, "network"))  # dropout
        total = torch.zeros(2, device=processes.device)
        parts = [batch[processes.rank :: processes.count] for batch in self._order(epoch)]
        self.network.train()
        rate = 0.0
        for step, (written, labels) in enumerate(self.task.stimuli.batches(parts)):
            rate = self._set_rates(epoch * self.steps + step)
            x, y = as_signals(written.to(processes.device)), labels.to(processes.device)
            total += self._step(augmented(x, config.augmentation, random), y, random)
            if epoch == step == 0:
                self._require_gradients()
            if (step + 1) % CHECK_EVERY == 0 or step + 1 == self.steps:
                loss = float(total[0]) / (step + 1)
                if not math.isfinite(loss):
                    raise NotFiniteError(epoch + 1, step + 1)
                progress(epoch + (step + 1) / self.steps, config.epochs, f"epoch {epoch + 1}, loss {loss:.4f}")
        mean = processes.mean(total)
        n = sum(len(part) for part in parts)
        return {"loss": float(mean[0]) / self.steps, "train_accuracy": float(mean[1]) / n, "learning_rate": rate}

    def _step(self, x: Tensor, y: Tensor, random: torch.Generator) -> Tensor:
        """One update; its loss and the number right, [2]."""
        with self._only_inputs() if self.config.objective.kind == "adversarial" else nullcontext():
            x = self.objective(self._logits, self._given(x), y, random)
        with self._precision():
            given = self.task.model.entering(x) if self.inner is None else x
            outputs = _output((self.wrapped if self.inner is None else self.inner.rest)(given)).float()
            loss = F.cross_entropy(outputs, y, label_smoothing=self.config.label_smoothing)
        self.optimizer.zero_grad()
        self.processes.backward(loss)
        if self.config.optimizer.gradient_clip is not None:
            nn.utils.clip_grad_norm_(self.trained.values(), self.config.optimizer.gradient_clip)
        self.optimizer.step()
        return torch.stack([loss.detach(), (outputs.argmax(1) == y).sum()])

    def evaluate(self) -> dict[str, Any]:
        """Accuracy, and accuracy under attack where there is one, on validation stimuli."""
        validation, asked = self.task.validation, self.config.evaluation
        if validation is None:
            return {}
        attack = evaluation_attack(self.config)
        rows = torch.arange(min(asked.n, len(validation))).split(EVALUATION_BATCH)
        right = torch.zeros(2, device=self.processes.device)
        with self._only_inputs():
            for written, labels in validation.batches(rows):
                x, y = as_signals(written.to(right.device)), labels.to(right.device)
                with torch.no_grad():
                    right[0] += (self._logits(self._given(x)).argmax(1) == y).sum()
                if attack is not None:
                    found = strongest(self._logits, self._given(x), y, attack, bounds=self.bounds)
                    right[1] += (~found.misnamed).sum()
        clean, robust = (right / sum(map(len, rows))).tolist()
        return {"accuracy": clean} | ({} if attack is None else {"robust_accuracy": robust})

    def state(self) -> dict[str, Tensor]:
        """Weights and momenta by name."""
        momenta = {
            f"momentum/{name}": self.optimizer.state[weight]["momentum_buffer"]
            for name, weight in self.trained.items()
            if self.optimizer.state[weight].get("momentum_buffer") is not None
        }
        return {f"weights/{name}": value for name, value in self.network.state_dict().items()} | momenta

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go on from a checkpoint."""
        restore_weights(self.network, checkpoint)
        for name, weight in self.trained.items():
            if (momentum := checkpoint.tensors.get(f"momentum/{name}")) is not None:
                self.optimizer.state[weight]["momentum_buffer"] = momentum.to(weight.device)

    def _given(self, x: Tensor) -> Tensor:
        """What the objective changes: stimuli or, where it says so, what the network's first module makes of them."""
        if self.inner is None:
            return x
        with torch.no_grad():
            given: Tensor = self.inner.first(self.task.model.entering(x))
        return given

    def _logits(self, x: Tensor) -> Tensor:
        """The logits for what `_given` gives."""
        with self._precision():
            outputs = self.network(self.task.model.entering(x)) if self.inner is None else self.inner.rest(x)
            return _output(outputs).float()

    @contextmanager
    def _only_inputs(self) -> Iterator[None]:
        """In evaluation mode (as the `robustness` library attacks), without gradients of the weights."""
        self.network.eval()
        for weight in self.trained.values():
            weight.requires_grad_(False)
        try:
            yield
        finally:
            for weight in self.trained.values():
                weight.requires_grad_()
            self.network.train()

    def _precision(self) -> Any:
        if self.config.precision == "float32":
            return nullcontext()
        return torch.autocast(self.processes.device.type, torch.bfloat16)

    def _order(self, epoch: int) -> Sequence[Tensor]:
        """The batches of an epoch: the permutation that comes after those of the epochs before."""
        generator = torch.Generator().manual_seed(self.config.seed)
        for _ in range(epoch):
            torch.randperm(len(self.task.stimuli), generator=generator)
        order = torch.randperm(len(self.task.stimuli), generator=generator)
        batches: Sequence[Tensor] = order[: self.steps * self.config.batch_size].split(self.config.batch_size)
        return batches

    def _set_rates(self, step: int) -> float:
        config = self.config
        now = rates(config.schedule, config.optimizer, step, self.steps, config.epochs)
        for group in self.optimizer.param_groups:
            group["lr"], group["momentum"] = now.learning_rate, now.momentum
        return now.learning_rate

    def _require_gradients(self) -> None:
        without = [name for name, weight in self.trained.items() if weight.grad is None]
        if without:
            raise MetamersError(
                f"model {self.task.model.name!r} trains only in part: {len(without)} of {len(self.trained)} weights "
                f"get no gradient, first {without[0]!r}; list them under `frozen:` or mend the forward"
            )


class NotFiniteError(MetamersError):
    """The loss is not finite, at an epoch and step (from 1)."""

    def __init__(self, epoch: int, step: int) -> None:
        self.epoch, self.step = epoch, step
        super().__init__(f"the loss is not finite in epoch {epoch}, by step {step}; lower the learning rate")


class _Inner(NamedTuple):
    """A network as its first module and the others."""

    first: nn.Module
    rest: nn.Module


def _inner(model: StagedModel, config: TrainingConfig, processes: Processes) -> _Inner | None:
    """Where the objective works, if not at the input."""
    at = getattr(config.objective, "at", None)
    if at is None:
        return None
    names = [name for name, _ in model.network.named_children()]
    if not isinstance(model.network, nn.Sequential) or at != names[0] or len(names) < 2:
        raise MetamersError(
            f"objective.at {at!r}: model {model.name!r} is no sequence of modules of which this is the first "
            f"({', '.join(names[:3])}, ...); leave it out"
        )
    if processes.count > 1 or any(True for _ in model.network[0].parameters()):
        raise MetamersError(f"objective.at {at!r}: give one process, and a first module without weights")
    first, *rest = model.network
    return _Inner(first, nn.Sequential(*rest))


def objective_of(config: TrainingConfig, bounds: Bounds) -> Objective:
    """What turns stimuli into those that are trained on."""
    chosen = config.objective
    if isinstance(chosen, Adversarial):
        attack = Attack(chosen.norm, chosen.eps, chosen.steps, chosen.step_size, chosen.random_start)
        return adversarial(attack, bounds)
    if isinstance(chosen, RandomPerturbation):
        return randomly_perturbed(chosen.norm, chosen.eps, bounds)
    return unchanged


def evaluation_attack(config: TrainingConfig) -> Attack | None:
    """The attack under which accuracy is measured: the evaluation's own or, without one, in the objective's ball."""
    asked, chosen = config.evaluation, config.objective
    if asked.norm is not None and asked.eps is not None:
        return Attack(asked.norm, asked.eps, asked.steps)
    if isinstance(chosen, Adversarial | RandomPerturbation):
        return Attack(chosen.norm, chosen.eps, asked.steps)
    return None


def restore_weights(network: nn.Module, checkpoint: Checkpoint) -> None:
    """Put a checkpoint's weights into a network of the same architecture. Raises MetamersError for another."""
    weights = {
        name.removeprefix("weights/"): value
        for name, value in checkpoint.tensors.items()
        if name.startswith("weights/")
    }
    put_weights(network, weights, f"checkpoint of epoch {checkpoint.epoch}")


def weights_to_train(model: StagedModel, frozen: Sequence[str]) -> tuple[str, ...]:
    """The names of the weights to train. Raises MetamersError for a pattern that fits none, for weights that the model
    itself froze and that are not named, and where none are left."""
    names = [name for name, weight in model.network.named_parameters() if weight.is_floating_point()]
    for pattern in frozen:
        if not any(fnmatch(name, pattern) for name in names):
            raise MetamersError(
                f"frozen: {pattern!r} fits no weight of {model.name!r}, such as {names[0]!r}; correct it"
            )
    left = [name for name in names if not any(fnmatch(name, pattern) for pattern in frozen)]
    if not left:
        raise MetamersError(f"frozen: no weight of {model.name!r} is left to train; leave one out")
    if held := [name for name in left if name not in model.trainable]:
        raise MetamersError(
            f"model {model.name!r} trains only in part: it has frozen {len(held)} of {len(names)} weights itself, "
            f"first {held[0]!r}; list them under `frozen:`, or do not freeze them"
        )
    return tuple(left)


def _output(given: Any) -> Tensor:
    """The logits: the first float tensor of what the network gives."""
    return next(tensors_in(given))[1]


def _seed(seed: int, epoch: int, rank: int, what: str) -> int:
    digest = hashlib.sha256(f"{seed}/{epoch}/{rank}/{what}".encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1
