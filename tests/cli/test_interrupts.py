"""An interrupt that Python loses is not lost."""

import os
import signal
import weakref
from contextlib import suppress

import pytest

from metamers.cli.interrupts import remembered_interrupts, stop_if_interrupted
from metamers.cli.output import progress


class Thing:
    pass


def lost_interrupt():
    """Interrupts this process while it runs what may not raise."""
    thing = Thing()
    reference = weakref.ref(thing, lambda _: os.kill(os.getpid(), signal.SIGINT))
    del thing
    return reference


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_lost_interrupt_stops_at_the_next_progress():
    before = signal.getsignal(signal.SIGINT)
    with remembered_interrupts():
        stop_if_interrupted()
        with suppress(KeyboardInterrupt):  # should a version of Python not lose it
            lost_interrupt()
        with pytest.raises(KeyboardInterrupt), progress() as update:
            update(1, 2, "work")
    stop_if_interrupted()
    assert signal.getsignal(signal.SIGINT) is before
