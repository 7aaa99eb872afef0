"""Who recognizes a stimulus: observers that give it a label."""

from metamers.observers.model_observer import recognize

__all__ = ["recognize"]
