"""A server of PostgreSQL of our own, on a free port of this machine."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

_FOUND = [*map(str, Path("/usr/lib/postgresql").glob("*/bin/initdb"))]
INITDB = shutil.which("initdb") or (_FOUND[-1] if _FOUND else None)
"""None where PostgreSQL is not installed."""


@contextmanager
def local_postgres() -> Iterator[str]:
    """Run it meanwhile, with an empty database; its URL."""
    if INITDB is None:
        raise FileNotFoundError("initdb: PostgreSQL is not installed")
    # Not in pytest's folder, which is for its owner alone.
    binaries, folder = Path(INITDB).resolve().parent, Path(mkdtemp(prefix="postgres"))
    # It refuses to run as root.
    options: dict[str, Any] = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.getuid() == 0 else {}
    if options:
        shutil.chown(folder, "postgres", "postgres")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    own: dict[str, Any] = {**options, "cwd": folder, "check": True, "stdout": subprocess.DEVNULL}
    data = str(folder / "data")
    subprocess.run([str(binaries / "initdb"), "-D", data, "-A", "trust", "-U", "me"], **own)
    control = [str(binaries / "pg_ctl"), "-D", data, "-w", "-l", str(folder / "log")]
    listen = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1"
    subprocess.run([*control, "-o", listen, "start"], **own)
    try:
        yield f"postgresql://me@127.0.0.1:{port}/postgres"
    finally:
        subprocess.run([*control, "-m", "immediate", "stop"], **own)
        shutil.rmtree(folder)
