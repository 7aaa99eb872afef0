"""Stimuli as a model takes them."""

from metamers.errors import MetamersError
from metamers.models.staged import StagedModel
from metamers.stimuli import StimulusSet


def fit_to_model(model: StagedModel, stimuli: StimulusSet) -> tuple[StagedModel, StimulusSet]:
    """The model with its input size known, and the stimuli fitted to it: size, channels, and a sound's rate.

    A model that does not state its size takes the stimuli's, where they all have one.
    Raises MetamersError where that is unknown, and for sounds given to a model of images or the other way round.
    """
    if model.kind != stimuli.kind:
        raise MetamersError(
            f"model {model.name!r} takes {model.kind}s, but '{stimuli.name}' holds {stimuli.kind}s; choose others "
            "(of a folder with both, --rate takes the sounds)"
        )
    if model.input_size is None:
        if stimuli.size is None:
            option = "--input-size" if model.kind == "image" else "--seconds"
            raise MetamersError(f"{model.name}: input size unknown and the stimuli's sizes differ; give {option}")
        height, width = stimuli.size
        if model.sample_rate and stimuli.sample_rate:  # as long at the model's rate
            width = round(width * model.sample_rate / stimuli.sample_rate)
        model = model.with_input_size((height, width))
    return model, fitted(stimuli, model)


def fitted(stimuli: StimulusSet, model: StagedModel) -> StimulusSet:
    """The stimuli fitted to a model whose input size is known."""
    assert model.input_size is not None
    return stimuli.fit(model.input_size, model.channels, model.sample_rate)
