"""How invariances are changed: training, and attacks."""

from metamers.training.config import TrainingConfig
from metamers.training.run import Trained, train
from metamers.training.trainer import Watch

__all__ = ["Trained", "TrainingConfig", "Watch", "train"]
