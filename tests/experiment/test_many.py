"""Many participants at once."""

import pytest
from benchmarks import experiment


def test_twenty_at_once_lose_nothing(monkeypatch):
    pytest.importorskip("uvicorn")
    monkeypatch.setattr(experiment, "THINKING_SECONDS", 0.2)
    found = experiment.main(20, 40)
    assert found["kept"] == found["answers"] == found["saves"] == 800
