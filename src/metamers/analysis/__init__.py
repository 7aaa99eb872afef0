"""What responses mean: functions on tidy tables. Imports no torch."""

from metamers.analysis.recognition import chance_level, recognition_by_stage, wilson_interval

__all__ = ["chance_level", "recognition_by_stage", "wilson_interval"]
