"""Devices by name."""

import re

import torch

from metamers.errors import MetamersError, nearest

KINDS = ("cpu", "cuda", "mps")


def parse_device(device: str | torch.device) -> torch.device:
    """The torch device for `cpu`, `cuda`, `cuda:N` or `mps`. Raises MetamersError for another, or one not there."""
    name = str(device)
    match = re.fullmatch(r"(cpu|cuda|mps)(?::(\d+))?", name)
    if match is None:
        raise MetamersError(f"no device {name!r}{nearest(name, KINDS)}; choose cpu, cuda, cuda:N or mps")
    kind, index = match[1], int(match[2] or 0)
    if kind == "cpu":
        return torch.device("cpu")
    if kind == "mps":
        if not torch.backends.mps.is_available():
            raise MetamersError("device 'mps' is not available here; choose cpu")
        return torch.device("mps", index)
    n_devices = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if index >= n_devices:
        here = f"this machine has cuda:0 to cuda:{n_devices - 1}" if n_devices else "PyTorch sees no CUDA GPU here"
        raise MetamersError(f"device {name!r} is not available: {here}; choose another or cpu")
    return torch.device("cuda", index)


def exact_convolutions(device: torch.device) -> None:
    """Let convolutions on a CUDA device keep all bits of a float32, in this process: by default they are done in TF32,
    which keeps 10 bits of the mantissa, so that representations would differ from those of other devices by 1e-3."""
    if device.type == "cuda":
        torch.backends.cudnn.allow_tf32 = False


def described(device: torch.device) -> str:
    """The device and, of a GPU, its make: `cuda:0 (NVIDIA H100 80GB HBM3)`."""
    return f"{device} ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else str(device)
