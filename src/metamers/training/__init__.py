"""How invariances are changed."""

from metamers.training.standard import TrainingRecipe, accuracy, train_standard

__all__ = ["TrainingRecipe", "accuracy", "train_standard"]
