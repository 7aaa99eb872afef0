"""One process or several, the same to the training loop."""

import os
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from metamers.errors import MetamersError
from metamers.models.torchvision_compat import missing_extra


class Processes(Protocol):
    """`count` processes of which this is number `rank`, on `device`."""

    rank: int
    count: int
    device: torch.device

    def wrap(self, network: nn.Module) -> nn.Module:
        """The network as the loop calls it: gradients are means over the processes."""

    def backward(self, loss: Tensor) -> None:
        """The backward pass of a loss."""

    def mean(self, values: Tensor) -> Tensor:
        """The mean of a tensor over the processes. All wait for each other here."""


class OneProcess:
    """This process alone."""

    rank, count = 0, 1

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def wrap(self, network: nn.Module) -> nn.Module:
        """See `Processes`."""
        return network

    def backward(self, loss: Tensor) -> None:
        """See `Processes`."""
        loss.backward()

    def mean(self, values: Tensor) -> Tensor:
        """See `Processes`."""
        return values


class FabricProcesses:
    """Processes that Lightning Fabric started (distributed data parallel)."""

    def __init__(self, fabric: Any) -> None:
        self.fabric = fabric
        self.rank, self.count, self.device = fabric.global_rank, fabric.world_size, fabric.device

    def wrap(self, network: nn.Module) -> nn.Module:
        """See `Processes`."""
        wrapped: nn.Module = self.fabric.setup_module(network)
        return wrapped

    def backward(self, loss: Tensor) -> None:
        """See `Processes`."""
        self.fabric.backward(loss)

    def mean(self, values: Tensor) -> Tensor:
        """See `Processes`."""
        reduced: Tensor = self.fabric.all_reduce(values, reduce_op="mean")
        return reduced


def is_first_process() -> bool:
    """Whether this process speaks for all: Lightning Fabric tells the others by their environment."""
    return os.environ.get("LOCAL_RANK", "0") == "0"


def fabric_of(n: int, device: torch.device) -> Any:
    """Lightning Fabric for `n` processes on CPUs or GPUs of this machine.

    Raises MetamersError where the extra `train` is not installed, and for a device that cannot be several.
    """
    if device.type not in ("cpu", "cuda"):
        raise MetamersError(f"device {str(device)!r} takes one process; set processes to 1")
    if device.type == "cuda" and n > torch.cuda.device_count():
        raise MetamersError(f"processes is {n} and this machine has {torch.cuda.device_count()} GPUs; lower it")
    try:
        from lightning_fabric import Fabric
    except ModuleNotFoundError as error:
        raise missing_extra("lightning-fabric", "train") from error
    return Fabric(accelerator="cpu" if device.type == "cpu" else "cuda", devices=n, strategy="ddp")
