from metamers.models.cochresnet50 import STAGES, CochResNet50
from metamers.models.torchvision_compat import import_torchvision


def test_stages_have_the_shapes_of_a_resnet_over_a_cochleagram(shapes_of) -> None:
    shapes = shapes_of(CochResNet50(), (40_000,))
    assert [shapes[stage] for stage in STAGES] == [
        *[(211, 390), (64, 106, 195), (256, 53, 98), (512, 27, 49), (1024, 14, 25), (2048, 7, 13)],
        *[(2048, 1, 1), (794,)],
    ]


def test_weights_are_resnet50s_but_for_the_input_and_the_output(meta) -> None:
    ours = {name: weight.shape for name, weight in CochResNet50(classes=1000).named_parameters()}
    theirs = {name: weight.shape for name, weight in import_torchvision().models.resnet50().named_parameters()}
    assert ours.pop("conv1.weight") == (64, 1, 7, 7)
    del theirs["conv1.weight"]
    assert ours == theirs
