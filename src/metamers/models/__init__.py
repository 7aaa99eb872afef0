"""What is studied: networks with ordered stages."""

from metamers.models.bundled import describe_bundled
from metamers.models.cochleagram import Cochleagram
from metamers.models.fingerprint import fingerprint
from metamers.models.inputs import fit_to_model, fitted
from metamers.models.mel import MFCC, MelSpectrogram
from metamers.models.sources import SOURCES, known_rate, load_model, own_kind
from metamers.models.staged import StagedModel
from metamers.models.stages import StageInfo

__all__ = [
    "MFCC",
    "SOURCES",
    "Cochleagram",
    "MelSpectrogram",
    "StageInfo",
    "StagedModel",
    "describe_bundled",
    "fingerprint",
    "fit_to_model",
    "fitted",
    "known_rate",
    "load_model",
    "own_kind",
]
