"""Memory that the C library keeps between steps rather than returning it to the system and asking for it again."""

import ctypes
import functools
import os

KEPT_BYTES = 2**30
"""At most so much freed memory stays with the process."""

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # mallopt(3)
_OLD_LIMIT = 2**25
"""The largest block that glibc before about 2.35 keeps."""


@functools.cache
def keep_freed_memory() -> None:
    """Let glibc keep up to 1 GiB of freed memory, in blocks of up to 1 GiB (an older one: 32 MiB); nothing elsewhere,
    or where `MALLOC_*_` variables of the environment decide it.

    A step frees every activation and asks for the same sizes again. By default glibc gives large blocks back each time,
    and the kernel clears their pages anew: measured on ResNet-20, up to a quarter of a step's time.
    """
    if "MALLOC_TRIM_THRESHOLD_" in os.environ or "MALLOC_MMAP_THRESHOLD_" in os.environ:
        return
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):  # another system, or another C library
        return
    # Either alone ends glibc's own adaptation of both, which is better than the other one left at its start.
    if mallopt(_MMAP_THRESHOLD, KEPT_BYTES) or mallopt(_MMAP_THRESHOLD, _OLD_LIMIT):
        mallopt(_TRIM_THRESHOLD, KEPT_BYTES)
