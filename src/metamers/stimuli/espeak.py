"""Words spoken by espeak-ng (extra: speech)."""

import atexit
import importlib.util
import json
import os
import subprocess
import sys
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from threading import Lock

import numpy as np

from metamers.errors import MetamersError
from metamers.stimuli.sounds import FULL_SCALE, Samples, Sound

_CHILD = Path(__file__).with_name("espeak_child.py")
_lock = Lock()


def require_espeak() -> None:
    """Raises MetamersError where espeak-ng is not installed."""
    if importlib.util.find_spec("espeakng_loader") is None:
        raise MetamersError(
            "spoken words need espeak-ng; install the extra: pip install 'metamers[speech]' (in a clone: "
            "pip install -e '.[speech]'), or use bundled:spoken_clips"
        )


def speak(text: str, voice: str, speed: int, pitch: int) -> Sound:
    """`text` spoken: the same whatever was spoken before, and in every process.

    voice: of espeak-ng, as `en-us+f2`; speed: words a minute; pitch: 0 to 99. Raises MetamersError without espeak-ng,
    and for a voice that it lacks.
    """
    require_espeak()
    request: dict[str, str | int] = {"voice": voice, "text": text, "speed": speed, "pitch": pitch}
    with _lock:
        try:
            rate, samples = _answer(_child(os.getpid()), request)
        except BaseException as error:  # an interrupt, too, leaves an answer behind that is not the next word's
            _end(_child(os.getpid()))
            _child.cache_clear()
            if isinstance(error, OSError | ValueError):
                raise MetamersError(
                    f"espeak-ng ended while it spoke {text!r}; install the extra 'speech' anew"
                ) from error
            raise
    if not len(samples):
        raise MetamersError(f"espeak-ng has no voice {voice!r}; choose one such as 'en-us+f2'")
    return Sound(samples.astype(np.float32) / np.float32(FULL_SCALE), rate)


def _answer(child: subprocess.Popen[bytes], request: dict[str, str | int]) -> tuple[int, Samples]:
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write(f"{json.dumps(request)}\n".encode())
    child.stdin.flush()
    rate, n = map(int, child.stdout.readline().split())
    return rate, np.frombuffer(child.stdout.read(2 * n), np.int16)


@lru_cache(maxsize=1)
def _child(pid: int) -> subprocess.Popen[bytes]:
    """The speaking process of the process `pid`, as forks must not share one."""
    child = subprocess.Popen([sys.executable, str(_CHILD)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    atexit.register(_end, child)
    return child


def _end(child: subprocess.Popen[bytes]) -> None:
    child.kill()
    for stream in (child.stdin, child.stdout):
        assert stream is not None
        with suppress(OSError):
            stream.close()
    child.wait()
