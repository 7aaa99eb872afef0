"""How invariances are changed: training, and attacks."""

from metamers.training.attacks import Attack
from metamers.training.config import TrainingConfig
from metamers.training.robustness import RobustnessCurve, robustness_curve
from metamers.training.run import Trained, train
from metamers.training.trainer import Watch

__all__ = ["Attack", "RobustnessCurve", "Trained", "TrainingConfig", "Watch", "robustness_curve", "train"]
