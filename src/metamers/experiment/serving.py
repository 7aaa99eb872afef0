"""An experiment on its way to browsers: writer and server together."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from secrets import token_urlsafe
from typing import TYPE_CHECKING

from metamers.errors import MetamersError
from metamers.experiment.database import Writer
from metamers.experiment.identities import identity_key
from metamers.experiment.opened import Opened
from metamers.experiment.sessions import Sessions
from metamers.store import write_whole

if TYPE_CHECKING:
    import uvicorn


def admin_token(folder: Path) -> tuple[Path, str]:
    """The researchers' token of an experiment and the file, for the owner's eyes only, that holds it; made once."""
    path = folder / "admin-token"
    if not path.is_file():
        write_whole(path, token_urlsafe(24).encode(), mode=0o600)
    token = path.read_text().strip()
    if len(token) < 16:
        raise MetamersError(f"{path}: holds no token of 16 letters or more; delete it, and a new one is made")
    return path, token


def bound(host: str, port: int, public_url: str | None) -> socket.socket:
    """A socket to serve on.

    Raises MetamersError for a port in use, and for an address that others can reach without a public https URL.
    """
    if not _is_local(host) and not (public_url or "").startswith("https://"):
        raise MetamersError(
            f"--host {host} can be reached by others, and without TLS they would send their answers in the clear; "
            "serve on 127.0.0.1 behind a proxy, and give --public-url https://..."
        )
    try:
        return socket.create_server((host, port))
    except OSError as error:
        raise MetamersError(f"cannot serve on {host}:{port} ({error.strerror}); choose another --port") from error


def server(
    opened: Opened, writer: Writer, mode: str, *, secure: bool = False, admin_token: str | None = None
) -> "uvicorn.Server":
    """A server for sessions of a mode; `run(sockets=[...])` serves. Raises MetamersError as `identity_key` does."""
    import uvicorn

    from metamers.experiment.server import create_app

    sessions = Sessions(opened.design, opened.hash, mode, identity_key(opened))
    app = create_app(opened, sessions, writer, secure=secure, admin_token=admin_token)
    # No access log: it would hold addresses.
    return uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False, server_header=False))


def require_page() -> None:
    """Raises MetamersError where there is no page to serve."""
    from metamers.experiment.server import PAGE

    if not (PAGE / "index.html").is_file():
        raise MetamersError(
            "the page that participants see is not built; run `make web` in the clone (it takes node), or install a "
            "released package, which holds it"
        )


@contextmanager
def served(opened: Opened, mode: str, admin_token: str | None = None) -> Iterator[str]:
    """Serve on a free port of this machine meanwhile; the URL."""
    writer = Writer(opened.engine)
    running = server(opened, writer, mode, admin_token=admin_token)
    listener = bound("127.0.0.1", 0, None)
    thread = threading.Thread(target=running.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        running.should_exit = True
        thread.join()
        writer.close()
        opened.engine.dispose()


def _is_local(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
