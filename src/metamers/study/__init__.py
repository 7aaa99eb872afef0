"""The whole, declared and resumable."""

from metamers.study.local import run_local
from metamers.study.plan import ModelTask, Settings
from metamers.study.resolve import chosen_stages
from metamers.study.untrained import run_untrained

__all__ = ["ModelTask", "Settings", "chosen_stages", "run_local", "run_untrained"]
