import pytest

from metamers.errors import MetamersError, nearest


def test_a_users_error_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="no stage"):
        raise MetamersError("no stage")


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("laye3", "; did you mean 'layer3', 'layer2' or 'layer1'?"),
        ("LAYER3", "; did you mean 'layer3', 'layer2' or 'layer1'?"),
        ("averagepool", "; did you mean 'avgpool'?"),
        ("zzz", ""),
    ],
)
def test_nearest_names_up_to_three(name: str, hint: str) -> None:
    assert nearest(name, ["conv1", "layer1", "layer2", "layer3", "avgpool"]) == hint


def test_nearest_keeps_the_spelling_of_the_option() -> None:
    assert nearest("resnet50", iter(["ResNet50"])) == "; did you mean 'ResNet50'?"
