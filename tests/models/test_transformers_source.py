import importlib.util
from pathlib import Path
from typing import Any

import pytest
import torch

from metamers.errors import MetamersError
from metamers.models import downloads, load_model
from metamers.models.torchvision_compat import import_after_torchvision

if importlib.util.find_spec("transformers") is None:
    pytest.skip("transformers is not installed", allow_module_level=True)
transformers: Any = import_after_torchvision("transformers", "transformers")


def vit(**options: Any) -> Any:
    small = {"hidden_size": 16, "num_hidden_layers": 4, "num_attention_heads": 2, "intermediate_size": 32}
    return transformers.ViTConfig(**small, image_size=32, patch_size=8, **options)


def saved(network: Any, folder: Path, processor: Any = None) -> Path:
    network.save_pretrained(folder)
    if processor is not None:
        processor.save_pretrained(folder)
    return folder


def test_classifier_of_a_folder(tmp_path: Path) -> None:
    config = vit(id2label={0: "cat", 1: "dog", 2: "cup"})
    source = transformers.ViTForImageClassification(config).eval()
    size = {"height": 32, "width": 32}
    processor = transformers.ViTImageProcessor(size=size, image_mean=[0.5, 0.4, 0.3], image_std=[0.2, 0.3, 0.4])
    model = load_model(f"transformers:{saved(source, tmp_path, processor)}")
    assert model.stages == ("vit.embeddings", *(f"vit.layers.{i}" for i in range(4)), "output")
    assert (model.input_size, model.classes, model.notes) == ((32, 32), ("cat", "dog", "cup"), ())
    assert model.mean == pytest.approx((0.5, 0.4, 0.3))
    assert model.std == pytest.approx((0.2, 0.3, 0.4))
    image = torch.randint(0, 256, (1, 3, 32, 32), dtype=torch.uint8)
    pixels = processor(images=list(image), return_tensors="pt")["pixel_values"]
    torch.testing.assert_close(model.logits(image / 255), source(pixels).logits.detach(), atol=1e-4, rtol=1e-4)


def test_a_stopped_pass_leaves_the_next_as_it_was(tmp_path: Path) -> None:
    source = transformers.ViTForImageClassification(vit())
    model, x = load_model(f"transformers:{saved(source, tmp_path)}"), torch.rand(2, 3, 32, 32)
    before = model.logits(x)
    model.activations(x, ["vit.layers.1"])
    assert torch.equal(model.logits(x), before)


def test_model_without_classifier_and_processor(tmp_path: Path) -> None:
    config = transformers.ResNetConfig(embedding_size=4, hidden_sizes=[4, 6, 8, 10], depths=[1, 1, 1, 1])
    saved(transformers.ResNetModel(config), tmp_path)
    model = load_model(f"transformers:{tmp_path}")
    assert (model.input_size, model.mean) == (None, None)
    assert model.notes == ("has no image processor: values in [0, 1] go in as they are",)
    sized = model.with_input_size(32)
    assert not sized.has_decision
    assert sized.stages[0] == "embedder"
    assert "output[pooler_output]" in sized.resolve(["*"])


def test_a_part_without_weights_is_said_and_the_same_each_time(tmp_path: Path) -> None:
    """Else the run could never be verified: each load would draw the pooler anew."""
    saved(transformers.ViTForMaskedImageModeling(vit(encoder_stride=8)), tmp_path)
    models = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        models.append(load_model(f"transformers:{tmp_path}"))
    assert models[0].weights_hash() == models[1].weights_hash()
    (note,) = [note for note in models[0].notes if "random" in note]
    assert note == "has no weights of its own, but random ones (seed 0), at pooler.dense.bias, pooler.dense.weight"


def test_image_part_of_a_model_of_images_and_text(tmp_path: Path) -> None:
    small = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    config = transformers.CLIPConfig(vision_config={**small, "image_size": 32, "patch_size": 8}, text_config=small)
    saved(transformers.CLIPModel(config), tmp_path)
    model = load_model(f"transformers:{tmp_path}", input_size=32)
    assert model.activations(torch.rand(2, 3, 32, 32), ["output"])["output"].shape == (2, 17, 16)


def test_random_weights_and_those_of_a_file(tmp_path: Path) -> None:
    source = transformers.ViTForImageClassification(vit())
    spec = f"transformers:{saved(source, tmp_path)}"
    random = [load_model(spec, weights="random") for _ in range(2)]
    assert random[0].weights_hash() == random[1].weights_hash() != load_model(spec).weights_hash()
    torch.save(source.state_dict(), tmp_path / "w.pt")
    assert load_model(spec, weights=tmp_path / "w.pt").weights_hash() == load_model(spec).weights_hash()


def test_without_network_the_ways_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "is_reachable", lambda url: False)
    with pytest.raises(
        MetamersError, match=r"cannot be reached\); give a folder .* --weights FILE or --weights random"
    ):
        load_model("transformers:nobody/no-such-model")


def test_folder_without_a_model(tmp_path: Path) -> None:
    with pytest.raises(MetamersError, match="cannot get 'transformers:.*config.json") as caught:
        load_model(f"transformers:{tmp_path}")
    assert "\n" not in str(caught.value)


def hearing(config: Any, **options: Any) -> Any:
    return config(
        **{"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 32},
        **{"conv_dim": (8, 8), "conv_stride": (5, 4), "conv_kernel": (10, 8), "classifier_proj_size": 8},
        **{"num_feat_extract_layers": 2, "num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 2},
        **options,
    )


@pytest.mark.parametrize("name", ["Wav2Vec2", "Hubert"])
def test_models_of_waveforms(name: str, tmp_path: Path) -> None:
    config = hearing(getattr(transformers, f"{name}Config"), id2label={0: "yes", 1: "no", 2: "up"})
    source = getattr(transformers, f"{name}ForSequenceClassification")(config).eval()
    extractor = transformers.Wav2Vec2FeatureExtractor(sampling_rate=8000, do_normalize=True)
    model = load_model(f"transformers:{saved(source, tmp_path, extractor)}").with_input_size(1600)
    assert (model.kind, model.sample_rate, model.classes) == ("sound", 8000, ("yes", "no", "up"))
    assert model.has_decision
    assert any("layers.1" in stage for stage in model.resolve(["*"]))
    x = 0.1 * torch.randn(2, 1600, generator=torch.Generator().manual_seed(0)) + 0.05
    inputs = extractor(list(x.numpy()), sampling_rate=8000, return_tensors="pt")["input_values"]
    torch.testing.assert_close(model.logits(x), source(inputs).logits.detach(), atol=1e-4, rtol=1e-4)
    leaf = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(model.logits(leaf).sum(), leaf)
    assert gradient.abs().sum() > 0


def test_a_model_of_waveforms_without_a_head_or_an_extractor(tmp_path: Path) -> None:
    saved(transformers.HubertModel(hearing(transformers.HubertConfig)), tmp_path)
    model = load_model(f"transformers:{tmp_path}").with_input_size(1600)
    assert (model.kind, model.sample_rate, model.has_decision) == ("sound", 16_000, False)
    assert model.notes[-1] == "has no feature extractor: taken to be of 16,000 Hz, as is"
