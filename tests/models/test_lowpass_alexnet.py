import torch

from metamers.models.builtin import ARCHITECTURES
from metamers.models.lowpass_alexnet import STAGES, LowPassAlexNet
from metamers.models.torchvision_compat import import_torchvision


def test_stages_have_the_published_shapes(shapes_of) -> None:
    shapes = shapes_of(LowPassAlexNet(), (3, 224, 224))
    assert shapes["conv0"] == (64, 224, 224)
    assert shapes["pool2"] == (256, 6, 6)
    assert [shapes[stage] for stage in STAGES] == [
        *[(64, 55, 55), (192, 27, 27), (384, 13, 13), (256, 13, 13), (256, 13, 13), (4096,), (4096,), (1000,)],
    ]


def test_weights_are_alexnets(meta) -> None:
    network = LowPassAlexNet()
    shapes = [parameter.shape for parameter in network.parameters()]
    assert shapes == [parameter.shape for parameter in import_torchvision().models.alexnet().parameters()]
    convolutions = 64 * (3 * 121 + 1) + 192 * (64 * 25 + 1) + 384 * (192 * 9 + 1) + 256 * (384 * 9 + 1 + 256 * 9 + 1)
    head = 4096 * (256 * 36 + 1) + 4096 * 4097 + 1000 * 4097
    assert sum(shape.numel() for shape in shapes) == convolutions + head == 61_100_840


def test_gradients_reach_every_weight(meta) -> None:
    network = LowPassAlexNet(classes=5)
    network(torch.empty(2, 3, 64, 64)).sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_it_is_an_architecture_of_1000_nameless_classes() -> None:
    architecture = ARCHITECTURES["lowpass-alexnet"]
    assert (architecture.input_size, architecture.classes, architecture.class_names) == ((224, 224), 1000, ())
