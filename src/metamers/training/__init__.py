"""How invariances are changed."""

from metamers.training.attacks import Attack
from metamers.training.robustness import RobustnessCurve, robustness_curve
from metamers.training.standard import TrainingRecipe, accuracy, train_standard

__all__ = ["Attack", "RobustnessCurve", "TrainingRecipe", "accuracy", "robustness_curve", "train_standard"]
