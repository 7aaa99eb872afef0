"""Weights of networks: read without running code, checked, hashed, drawn at random."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from metamers.errors import MetamersError

T = TypeVar("T")

_SEED = ContextVar("seed of random weights", default=0)

RANDOM_NOTE = "weights are random (seed 0)"
WRAPPERS = ("state_dict", "model", "model_state_dict")
PREFIXES = ("module.", "_orig_mod.")
"""What data-parallel and compiled training put before each name."""


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """A state dict from a safetensors file or from one that `torch.load(weights_only=True)` reads, on the CPU.

    Raises MetamersError for a file that is missing, unreadable, or would run code.
    """
    path = Path(path)
    if not path.is_file():
        raise MetamersError(f"no weights file {str(path)!r}; give a safetensors file, a state dict, or 'random'")
    try:
        loaded = _read(path)
    except Exception as error:
        raise MetamersError(
            f"cannot read weights {str(path)!r}: neither safetensors nor a state dict that loads without running code "
            f"({type(error).__name__}); save them with safetensors.torch.save_file(model.state_dict(), ...)"
        ) from error
    tensors = _state_dict(loaded)
    if tensors is None:
        raise MetamersError(f"weights {str(path)!r} hold no state dict (tensors by name); save model.state_dict()")
    for prefix in PREFIXES:
        if all(key.startswith(prefix) for key in tensors):
            tensors = {key.removeprefix(prefix): tensor for key, tensor in tensors.items()}
    return tensors


def read_metadata(path: str | Path) -> dict[str, str]:
    """What a safetensors file says of its tensors; nothing for another file, or one that is missing or unreadable."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as opened:
            return dict(opened.metadata() or {})
    except (OSError, SafetensorError):
        return {}


def put_weights(network: nn.Module, weights: Mapping[str, Tensor], where: str) -> None:
    """Load a state dict into a network. Raises MetamersError, naming `where`, for names or shapes that do not fit."""
    own = {key: value for key, value in network.state_dict().items() if isinstance(value, Tensor)}
    missing = [key for key in own if key not in weights and not key.endswith("num_batches_tracked")]
    unexpected = [key for key in weights if key not in own]
    misshaped = [
        f"{key} {list(weights[key].shape)} instead of {list(own[key].shape)}"
        for key in own
        if key in weights and weights[key].shape != own[key].shape
    ]
    kinds = (("missing", missing), ("unexpected", unexpected), ("of another shape", misshaped))
    if problems := [f"{len(keys)} {kind}: {_some(keys)}" for kind, keys in kinds if keys]:
        raise MetamersError(f"weights {where!r} do not fit {type(network).__name__}: {'; '.join(problems)}")
    network.load_state_dict(dict(weights), strict=False)


@contextmanager
def random_weights_from(seed: int) -> Iterator[None]:
    """Within, random weights are drawn under `seed`, not 0; PyTorch's random state is left as it was."""
    token = _SEED.set(seed)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)  # of what a function of the user's draws
            yield
    finally:
        _SEED.reset(token)


def built_at_random(build: Callable[[], T]) -> T:
    """What `build` makes under seed 0, PyTorch's random state left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_SEED.get())
        return build()


def randomize(network: nn.Module) -> None:
    """Draw a network's weights anew under seed 0, each module by its own `reset_parameters`.

    Raises MetamersError for weights of a module that has none.
    """

    def reset() -> None:
        for name, module in network.named_modules():
            method = getattr(module, "reset_parameters", None) or getattr(module, "_reset_parameters", None)
            if method is not None:
                method()
            elif own := next(iter(module.named_parameters(recurse=False)), None):
                where = f"{name}.{own[0]}" if name else own[0]
                raise MetamersError(
                    f"cannot draw weight {where!r} at random: {type(module).__name__} has no reset_parameters; "
                    "give it one, or let the function build the network untrained"
                )

    with torch.no_grad():
        built_at_random(reset)


def weights_hash(network: nn.Module) -> str:
    """SHA-256 (hex) over the names, types, shapes and bytes of a state dict, in the order of the names."""
    digest = hashlib.sha256()
    for key, value in sorted(network.state_dict().items()):
        if isinstance(value, Tensor):
            digest.update(f"{key} {value.dtype} {list(value.shape)}\n".encode())
            digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _read(path: Path) -> Any:
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(path)
    return torch.load(path, map_location="cpu", weights_only=True)


def _state_dict(loaded: Any) -> dict[str, Tensor] | None:
    if not isinstance(loaded, Mapping):
        return None
    for wrapper in WRAPPERS:
        if isinstance(loaded.get(wrapper), Mapping):
            return _state_dict(loaded[wrapper])
    tensors = {str(key): value for key, value in loaded.items() if isinstance(value, Tensor)}
    return tensors if tensors and len(tensors) == len(loaded) else None


def _some(keys: list[str]) -> str:
    return ", ".join(keys[:3]) + (", ..." if len(keys) > 3 else "")
