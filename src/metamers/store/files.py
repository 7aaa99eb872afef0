"""Files that are whole or not there."""

import errno
import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from metamers.errors import MetamersError

_TEMPORARY = ".tmp"


def write_whole(path: Path, content: bytes | Iterable[bytes], *, mode: int | None = None) -> None:
    """Write a file, all at once or in parts, under a temporary name, sync it and rename it, so that `path` is never
    seen half-written. mode: its permissions, None for those of new files.

    Raises MetamersError when the disk is full or cannot be written to.
    """
    with clear_disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:100]}.", suffix=_TEMPORARY)
        try:
            with os.fdopen(handle, "wb") as file:
                file.writelines([content] if isinstance(content, bytes) else content)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).chmod(0o666 & ~_umask() if mode is None else mode)
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise


def is_temporary(path: Path) -> bool:
    """Whether a file is one that `write_whole` had not finished when its process was killed."""
    return path.name.startswith(".") and path.name.endswith(_TEMPORARY)


def write_json(path: Path, value: Any) -> None:
    """Write `value` as JSON; NaN and infinity are refused (ValueError), as JSON has none."""
    write_whole(path, json.dumps(value, allow_nan=False, ensure_ascii=False).encode())


def read_json(path: Path) -> Any:
    """Raises MetamersError when the file is missing, damaged or cannot be read."""
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        raise MetamersError(f"{path}: no such file; is this the folder of a run?") from None
    except OSError as error:
        raise MetamersError(f"{path}: cannot be read ({error.strerror}); repair its permissions") from error
    except ValueError:
        raise MetamersError(f"{path}: not valid JSON; delete it and run the command again") from None


def sha256(content: bytes) -> str:
    """The SHA-256 of bytes, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


@contextmanager
def clear_disk_errors(path: Path) -> Iterator[None]:
    """Turn the errors of a full, read-only or forbidden disk into one clear line."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            problem = "the disk is full; free some space and run the same command again, it resumes"
        elif error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
            problem = "cannot be written; choose a folder that you may write to"
        elif error.errno in (errno.ENOTDIR, errno.EEXIST, errno.EISDIR):
            problem = "a file stands where a folder is needed, or the reverse; choose another --out"
        elif error.errno == errno.ENAMETOOLONG:
            problem = "the path is too long for this disk; choose a shorter --out"
        else:
            problem = f"{error.strerror or error}; mend that and run the same command again, it resumes"
        raise MetamersError(f"{path}: {problem}") from error


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
