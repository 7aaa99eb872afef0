"""Ctrl-C, also where Python loses it, as it does what a destructor or a weak reference's callback raises."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_interrupted = False


@contextmanager
def remembered_interrupts() -> Iterator[None]:
    """Within, an interrupt raises KeyboardInterrupt at once and, should that be lost, at the next look at it."""
    global _interrupted
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        _interrupted = False


def stop_if_interrupted() -> None:
    """Raises KeyboardInterrupt where one was lost."""
    if _interrupted:
        raise KeyboardInterrupt


def _interrupt(number: int, frame: FrameType | None) -> None:
    global _interrupted
    _interrupted = True
    raise KeyboardInterrupt
