"""`metamers clean`."""

from collections import Counter
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from metamers.cli.options import Json
from metamers.cli.output import give_json, say_note

SHOWN = 20


def clean(run: Path, /, *, yes: Annotated[bool, Parameter(negative="")] = False, json: Json = False) -> int:
    """List what of a run its study does not refer to (any more), and with --yes delete it.

    Parameters
    ----------
    run
        The folder of the run.
    yes
        Delete what is listed, and what models answered to it; people's answers stay.
    """
    from metamers.store import Store, build_tables
    from metamers.store.cleaning import remove, unreferenced

    store = Store.open(run)
    with store.locked(say_note):
        files = unreferenced(store)
        size = sum(path.stat().st_size for path in files)
        names = [path.relative_to(store.folder).as_posix() for path in files]
        if yes:
            remove(store, files)
            build_tables(store)
    if json:
        give_json({"run": str(run), "files": names, "bytes": size, "deleted": yes})
        return 0
    for name in names[:SHOWN]:
        print(f"  {name}")
    if len(names) > SHOWN:
        folders = Counter(name.partition("/")[0] for name in names[SHOWN:])
        print("  and " + ", ".join(f"{count:,} more in {folder}" for folder, count in folders.items()))
    done = "deleted" if yes else "not referred to; --yes deletes them"
    print(f"{len(names):,} files, {size / 1e6:,.1f} MB {done}")
    return 0
