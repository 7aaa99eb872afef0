"""`FILE.py:FUNCTION[:ARGUMENT]`: a model that a function of the user's makes."""

import hashlib
import importlib.util
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from metamers.errors import MetamersError, nearest


def call_function(spec: str) -> tuple[Any, str]:
    """What the function named by `FILE.py:FUNCTION[:ARGUMENT]` returns, and a name for it: its argument, else its own.

    The file is run, with its folder on the import path. Raises MetamersError for a file or function that is not there,
    and for one that fails.
    """
    file, _, rest = spec.partition(".py:")
    path = Path(f"{file}.py" if rest else spec)
    function_name, colon, argument = rest.partition(":")
    if not function_name:
        raise MetamersError(f"model {spec!r} names no function; write {spec.rstrip(':')}:FUNCTION[:ARGUMENT]")
    if not path.is_file():
        raise MetamersError(f"no Python file {str(path)!r} (model {spec!r}); check the path")
    with _folder_importable(path), _explained(path, spec):
        function = _function(_imported(path), function_name, path)
        return function(*([argument] if colon else [])), argument or function_name


def _imported(path: Path) -> ModuleType:
    # A name of its own, so that two files called model.py do not collide; registered, since dataclasses look there.
    name = f"{path.stem}_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:8]}"
    found = importlib.util.spec_from_file_location(name, path)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    sys.modules[name] = module
    try:
        found.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _function(module: ModuleType, name: str, path: Path) -> Callable[..., Any]:
    function = getattr(module, name, None)
    if not callable(function):
        names = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise MetamersError(f"{path} has no function {name!r}{nearest(name, names)}")
    return function  # type: ignore[no-any-return]


@contextmanager
def _folder_importable(path: Path) -> Iterator[None]:
    folder = str(path.resolve().parent)
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path.remove(folder)


@contextmanager
def _explained(path: Path, spec: str) -> Iterator[None]:
    try:
        yield
    except MetamersError:
        raise
    except Exception as error:
        lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if Path(f.filename).name == path.name]
        where = f"{path}, line {lines[-1]}" if lines and not isinstance(error, SyntaxError) else str(path)
        text = str(error).strip().splitlines()
        reason = f"{type(error).__name__}: {text[0]}" if text else type(error).__name__
        raise MetamersError(
            f"model {spec!r} failed with {reason} ({where}); mend the function or its argument"
        ) from error
