"""By what a participant who comes again is recognized, also once it was deleted who that is."""

import hmac
from secrets import token_hex

from sqlalchemy import func, select, update

from metamers.errors import MetamersError
from metamers.experiment.database import EXPERIMENT, IDENTITY_HASH
from metamers.experiment.opened import Opened
from metamers.store import write_whole

FILE = "identity-key"


def identity_hash(key: bytes, source: str, external_id: str) -> str:
    """What is kept of an external id: whoever has not the key cannot find it by trying all ids."""
    return hmac.digest(key, f"{source}\0{external_id}".encode(), "sha256").hex()


def identity_key(opened: Opened) -> bytes:
    """The key of an experiment's identity hashes, in a file for the owner's eyes only; made with the first of them.

    Raises MetamersError for another key than that of the hashes in the database, or none: who took part would be taken
    for new.
    """
    path = opened.folder / FILE
    with opened.engine.begin() as db:
        known = db.execute(select(func.count()).select_from(IDENTITY_HASH)).scalar_one()
        check = db.execute(select(EXPERIMENT.c.key_check)).scalar_one()
        if not known and not path.is_file():
            write_whole(path, token_hex(32).encode(), mode=0o600)
        key = path.read_text().strip() if path.is_file() else ""
        if known and _check(key) != check:
            raise MetamersError(
                f"{path}: is not the key by which the database recognizes {known} participants; put that back, or give "
                "a new --database, in which all are new"
            )
        if len(key) < 64:
            raise MetamersError(f"{path}: holds no key of 64 letters; delete it, and a new one is made")
        db.execute(update(EXPERIMENT).values(key_check=_check(key)))
    return key.encode()


def _check(key: str) -> str:
    return hmac.digest(key.encode(), b"check", "sha256").hex()
