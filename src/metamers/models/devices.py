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
