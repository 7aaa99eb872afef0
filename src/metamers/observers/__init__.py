"""Who recognizes a stimulus: observers that give it a label."""

from metamers.observers.human_responses import import_responses
from metamers.observers.model_observer import ModelObserver, model_observer, outdated, recognize, require_scored
from metamers.observers.shown import CONTROLS, shown

__all__ = [
    "CONTROLS",
    "ModelObserver",
    "import_responses",
    "model_observer",
    "outdated",
    "recognize",
    "require_scored",
    "shown",
]
