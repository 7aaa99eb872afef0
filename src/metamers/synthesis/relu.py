"""A gradient for stages that end in a ReLU, which passes none where it is silent."""

from collections.abc import Iterable

from torch import Tensor
from torch.autograd.graph import Node


def pass_gradient_through_relu(activations: Iterable[Tensor]) -> int:
    """Give each activation that is the output of a ReLU an identity gradient through it; how many there were.

    Forward values stay as they are (Feather et al., 2023, Methods). An activation that is not itself a ReLU's output is
    left unchanged.
    """
    found = 0
    for activation in activations:
        if (node := _relu_node(activation.grad_fn)) is not None:
            node.register_hook(_identity)
            found += 1
    return found


def _relu_node(node: Node | None) -> Node | None:
    # A stage that is captured before the last one is cloned.
    if node is not None and node.name().startswith("CloneBackward"):
        node = node.next_functions[0][0]
    return node if node is not None and node.name().startswith("ReluBackward") else None


def _identity(grad_inputs: tuple[Tensor, ...], grad_outputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return grad_outputs
