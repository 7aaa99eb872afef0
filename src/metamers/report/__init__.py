"""How a run is looked at: figures and the HTML page, from the store's files alone. Imports no torch."""

from metamers.report.page import write_report

__all__ = ["write_report"]
