"""Downloads of weights that fail soon and clearly where there is no network."""

import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

from metamers.errors import MetamersError

TIMEOUT = 10.0
"""Seconds without an answer after which a host counts as unreachable."""


GIVE_WEIGHTS = (
    "give its weights with --weights FILE, or take --weights random (weights= in Python, weights: in a study)"
)


@contextmanager
def download(spec: str, url: str, repair: str, needed: bool = True) -> Iterator[bool]:
    """Whether the host of `url` can be reached, for a block that may download from it; not looked up unless `needed`.

    Inside, the libraries of the Hugging Face hub are kept to their cache where it cannot. Raises MetamersError for a
    block that fails, with the `repair`.
    """
    online = needed and is_reachable(url)
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT)
    try:
        with _hub_offline(not online):
            yield online
    except (MetamersError, ImportError):
        raise
    except Exception as error:
        text = str(error).strip().splitlines()
        reason = f"{type(error).__name__}: {text[0]}" if text else type(error).__name__
        if needed and not online:
            host = urllib.request.Request(url).host
            reason = f"not in the cache, and {host} cannot be reached"
        raise MetamersError(f"cannot get {spec!r} ({reason}); {repair}") from error
    finally:
        socket.setdefaulttimeout(before)


def is_reachable(url: str) -> bool:
    """Whether the host of an https address answers at all, through the proxy that is set."""
    request = urllib.request.Request(url, method="HEAD")
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT / 2):
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


@contextmanager
def _hub_offline(offline: bool) -> Iterator[None]:
    try:
        from huggingface_hub import constants
    except ImportError:
        yield
        return
    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = before or offline
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before
