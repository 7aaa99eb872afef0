from metamers.models import load_model
from metamers.models.cochcnn9 import STAGES, CochCNN9


def test_stages_have_the_published_shapes(shapes_of) -> None:
    shapes = shapes_of(CochCNN9(), (40_000,))
    assert [shapes[stage] for stage in STAGES] == [
        *[(211, 390), (96, 71, 130), (256, 18, 33), (512, 9, 17), (1024, 9, 17), (512, 9, 17), (512, 5, 9)],
        *[(4096,), (794,)],
    ]
    assert (shapes["maxpool0"], shapes["maxpool1"]) == ((96, 36, 65), (256, 9, 17))
    assert shapes["flatten"] == (23_040,)


def test_convolutions_have_no_bias_and_the_published_kernels(meta) -> None:
    network = CochCNN9()
    kernels = {name: tuple(weight.shape) for name, weight in network.named_parameters() if name.startswith("conv")}
    assert kernels == {
        "conv0.weight": (96, 1, 7, 14),
        "conv1.weight": (256, 96, 4, 8),
        "conv2.weight": (512, 256, 2, 5),
        "conv3.weight": (1024, 512, 2, 5),
        "conv4.weight": (512, 1024, 2, 5),
    }


def test_it_is_a_model_of_sounds() -> None:
    model = load_model("builtin:CochCNN9?classes=10")
    assert (model.kind, model.sample_rate, model.input_shape, model.channels) == ("sound", 20_000, (40_000,), 1)
    assert model.stages == STAGES
