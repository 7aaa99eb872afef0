"""How a run is looked at: figures and the HTML page, from the store's files alone. Imports no torch."""

from metamers.report.page import write_report
from metamers.report.training_curves import write_training_curves

__all__ = ["write_report", "write_training_curves"]
