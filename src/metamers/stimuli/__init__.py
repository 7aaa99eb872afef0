"""What is shown to models and people: images and sounds, read, generated, fitted and written without loss."""

from metamers.stimuli.images import read_image
from metamers.stimuli.load import load_stimuli
from metamers.stimuli.pixels import encode_png, quantize, write_png
from metamers.stimuli.sound_set import SoundSet
from metamers.stimuli.stimulus_set import StimulusSet

__all__ = ["SoundSet", "StimulusSet", "encode_png", "load_stimuli", "quantize", "read_image", "write_png"]
