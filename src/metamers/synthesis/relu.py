"""A gradient for stages that end in a ReLU, which passes none where it is silent."""

from collections.abc import Iterable

from torch import Tensor
from torch.autograd.graph import Node

# What `StagedModel.activations` may do to a stage's output: copies, casts and changes of layout.
_LAYOUT = ("CloneBackward", "ToCopyBackward", "PermuteBackward", "TransposeBackward")


def pass_gradient_through_relu(activations: Iterable[Tensor]) -> int:
    """Give each activation that is the output of a ReLU an identity gradient through it; how many there were.

    Forward values stay as they are (Feather et al., 2023, Methods). An activation that is not itself a ReLU's output is
    left unchanged.
    """
    found = 0
    for activation in activations:
        nodes = _relu_nodes(activation.grad_fn)
        for node in nodes:
            node.register_hook(_identity)
        found += bool(nodes)
    return found


def _relu_nodes(node: Node | None) -> list[Node]:
    """The ReLU calls whose output, but for its layout, is that of `node`."""
    if node is None:
        return []
    if node.name().startswith("ReluBackward"):
        return [node]
    # Stimuli that were run one at a time are joined along the first dim.
    one_at_a_time = node.name().startswith("CatBackward") and getattr(node, "_saved_dim", None) == 0
    if one_at_a_time or node.name().startswith(_LAYOUT):
        return [relu for parent, _ in node.next_functions for relu in _relu_nodes(parent)]
    return []


def _identity(grad_inputs: tuple[Tensor, ...], grad_outputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return grad_outputs
