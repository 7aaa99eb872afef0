import socket
import time
import urllib.error
import urllib.request
from email.message import Message
from typing import Any

import pytest

from metamers.errors import MetamersError
from metamers.models import downloads
from metamers.models.downloads import download, is_reachable


@pytest.fixture
def silent_port() -> Any:
    """A port that takes connections and never answers."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


def test_host_that_never_answers_is_given_up(silent_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "TIMEOUT", 0.4)
    start = time.monotonic()
    assert not is_reachable(f"http://127.0.0.1:{silent_port}/")
    assert time.monotonic() - start < 5


def test_host_that_refuses_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **options: Any) -> None:
        raise urllib.error.HTTPError("http://x", 403, "no", Message(), None)

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    assert is_reachable("http://x")


def test_reason_is_given_where_the_network_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "is_reachable", lambda url: True)
    with (
        pytest.raises(MetamersError, match=r"cannot get 'a:b' \(OSError: 404\); mend it"),
        download("a:b", "https://example.org", "mend it"),
    ):
        raise OSError("404\nmore")


def test_timeout_holds_inside_only() -> None:
    before = socket.getdefaulttimeout()
    with download("a:b", "https://example.org", "mend it", needed=False):
        assert socket.getdefaulttimeout() == downloads.TIMEOUT
    assert socket.getdefaulttimeout() == before


def test_hub_is_kept_to_its_cache_without_network(monkeypatch: pytest.MonkeyPatch) -> None:
    constants = pytest.importorskip("huggingface_hub").constants
    before = constants.HF_HUB_OFFLINE
    monkeypatch.setattr(downloads, "is_reachable", lambda url: False)
    with download("a:b", "https://example.org", "mend it") as online:
        assert not online
        assert constants.HF_HUB_OFFLINE
    assert before == constants.HF_HUB_OFFLINE
