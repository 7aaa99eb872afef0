"""`metamers models` and `metamers stages`."""

from metamers.cli.options import Count, Device, InputSize, Json, Weights, parse_size
from metamers.cli.output import give_json, say_note
from metamers.errors import MetamersError


def models(*, json: Json = False) -> int:
    """List the models that come with the package, and the sources of others."""
    from metamers.models import SOURCES, describe_bundled

    cards = describe_bundled()
    if json:
        give_json({"bundled": cards, "sources": SOURCES})
        return 0
    print("Bundled, with trained weights:")
    for card in cards:
        print(f"  bundled:{card['name']:<20} {card['architecture']}, {card['accuracy']:.1%} right on fresh stimuli")
    print("Sources of other models:")
    for form, what in SOURCES.items():
        print(f"  {form:<32} {what}")
    return 0


def stages(
    model: str,
    /,
    *,
    weights: Weights = None,
    input_size: InputSize = None,
    rate: Count | None = None,
    seconds: float | None = None,
    device: Device = "cpu",
    json: Json = False,
) -> int:
    """List the stages of a model in the order of execution, with shapes and the share of the forward cost.

    Nothing is downloaded: the stages of models of torchvision and timm are those of their architecture.

    Parameters
    ----------
    model
        torchvision:NAME, timm:NAME, transformers:NAME, FILE.py:FUNCTION[:ARGUMENT], builtin:NAME or bundled:NAME.
    rate
        The samples per second of the sounds that a function's model takes.
    seconds
        How long they are, where the model does not say.
    """
    from dataclasses import asdict

    from metamers.models import load_model, own_kind

    if weights is None and model.startswith(("torchvision:", "timm:")):
        weights = "random"
    kind = {} if rate is None else own_kind(model, "sound", rate)
    loaded = load_model(model, weights=weights, input_size=parse_size(input_size), device=device, **kind)
    if seconds is not None:
        if loaded.sample_rate is None or not seconds > 0:
            raise MetamersError(f"--seconds {seconds:g} of {loaded.name}: give --rate, too, and more than 0 seconds")
        loaded = loaded.with_input_size(round(seconds * loaded.sample_rate))
    listed = loaded.describe()
    if json:
        give_json(
            {
                **{"model": loaded.name, "spec": loaded.spec, "input_size": loaded.input_size},
                **{"notes": list(loaded.notes), "stages": [asdict(stage) for stage in listed]},
            }
        )
        return 0
    for note in loaded.notes:
        say_note(note)
    width = max(len(stage.name) for stage in listed)
    print(f"  {'stage':<{width}}  {'cost':>6}  {'shape':<18} module      (* in `all`)")
    for stage in listed:
        mark = "*" if stage.default else " "
        shape = " x ".join(map(str, stage.shape))
        print(f"{mark} {stage.name:<{width}}  {stage.cost_share:>6.1%}  {shape:<18} {stage.module}")
    return 0
