"""A gradient for stages that end in a ReLU, which passes none where it is silent."""

from collections.abc import Iterable

from torch import Tensor
from torch.autograd.graph import Node

# What `StagedModel.activations` may do to a stage's output: copies, casts and changes of layout.
_LAYOUT = ("CloneBackward", "ToCopyBackward", "PermuteBackward", "TransposeBackward")


def pass_gradient_through_relu(activations: Iterable[Tensor]) -> int:
    """Give each activation that is the output of a ReLU an identity gradient through it; how many there were.

    Forward values stay as they are (Feather et al., 2023, Methods). An activation that is not itself a ReLU's output is
    left unchanged. Where several stages are matched, the gradient of a deeper one passes the ReLU of an earlier one as
    usual.
    """
    found = 0
    for activation in activations:
        relus = _relus(activation.grad_fn)
        for relu, above in relus:
            if above is None:
                relu.register_hook(lambda grad_inputs, grad_outputs: grad_outputs)
            else:
                _pass_from_above(relu, above)
        found += bool(relus)
    return found


def _relus(node: Node | None, above: Node | None = None) -> list[tuple[Node, Node | None]]:
    """The ReLU calls whose output, but for its layout, is that of `node`, each with the copy of it that is matched.

    None stands for a ReLU whose output is itself what is matched: the pass stopped there.
    """
    if node is None:
        return []
    if node.name().startswith("ReluBackward"):
        return [(node, above)]
    # Stimuli that were run one at a time are joined along the first dim.
    one_at_a_time = node.name().startswith("CatBackward") and getattr(node, "_saved_dim", None) == 0
    if one_at_a_time or node.name().startswith(_LAYOUT):
        above = None if one_at_a_time else node
        return [relu for parent, _ in node.next_functions for relu in _relus(parent, above)]
    return []


def _pass_from_above(relu: Node, above: Node) -> None:
    """Let what comes from `above` pass where the ReLU is silent; the rest of the network wants its true gradient."""
    silent = relu._saved_result <= 0  # type: ignore[attr-defined]
    received: list[Tensor] = []

    def receive(grad_inputs: tuple[Tensor, ...], grad_outputs: tuple[Tensor, ...]) -> None:
        received.append(grad_inputs[0])

    def add(grad_inputs: tuple[Tensor, ...], grad_outputs: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
        return (grad_inputs[0] + received.pop() * silent,) if received else None

    above.register_hook(receive)
    relu.register_hook(add)
