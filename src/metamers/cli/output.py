"""What commands say: one JSON object on stdout where asked for, progress and notes on stderr."""

import json
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from math import floor, isfinite
from typing import TYPE_CHECKING, Any, TextIO

from metamers.cli.interrupts import stop_if_interrupted

if TYPE_CHECKING:
    import pandas as pd

Update = Callable[[float, float, str], None]

_LINE_EVERY = 10.0  # seconds between plain progress lines, where stderr is no terminal
_SPEED_OVER = 120.0  # seconds whose speed tells the remaining time: what a resumed run skips takes none


_results: TextIO | None = None  # where results go while everything else that is printed goes to stderr


@contextmanager
def stdout_kept_for_results(only: bool) -> Iterator[None]:
    """With `only`, what anything but `give_json` prints, such as a user's model, goes to stderr."""
    global _results
    if not only:
        yield
        return
    _results = sys.stdout
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        _results = None


def say(text: str) -> None:
    """A line for the user, on stderr."""
    print(text, file=sys.stderr, flush=True)


def say_note(text: str) -> None:
    """Something to know that is no error."""
    say(f"note: {text}")


def give_json(value: dict[str, Any]) -> None:
    """One JSON object on one line on stdout, in ASCII, which every terminal and pipe can take; what is no finite number
    is null. An iterator among its values is a list, of which one item at a time is in memory."""
    for part in _parts(value):
        print(part, end="", file=_results)
    print(file=_results, flush=True)


def plain_rows(table: "pd.DataFrame") -> list[dict[str, Any]]:
    """A table as JSON has it: an object for each row, empty values null."""
    rows = table.astype(object).where(table.notna(), None).to_dict("records")
    return [{str(name): value for name, value in row.items()} for row in rows]


def _parts(value: dict[str, Any]) -> Iterator[str]:
    yield "{"
    for i, (key, item) in enumerate(value.items()):
        yield f"{', ' * bool(i)}{_text(key)}: "
        if isinstance(item, Iterator):
            yield "["
            for j, each in enumerate(item):
                yield f"{', ' * bool(j)}{_text(each)}"
            yield "]"
        else:
            yield _text(item)
    yield "}"


def _text(value: Any) -> str:
    return json.dumps(_plain(value), allow_nan=False)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | Iterator):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not isfinite(value) else value


@contextmanager
def progress() -> Iterator[Update]:
    """A progress bar with the remaining time on a terminal, else a line from time to time; on stderr."""
    if not sys.stderr.isatty():
        yield _lines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (
        *(BarColumn(), TextColumn("{task.percentage:>3.0f} %"), TimeElapsedColumn(), TextColumn("left:")),
        *(TimeRemainingColumn(), TextColumn("{task.description}", markup=False)),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True, speed_estimate_period=600) as bar:
        task = bar.add_task("", total=None)

        def update(done: float, total: float, what: str) -> None:
            stop_if_interrupted()
            if done < bar.tasks[0].completed:  # other work has begun
                bar.reset(task)
            bar.update(task, completed=done, total=total, description=what)

        yield update


def _lines() -> Update:
    last = time.monotonic()
    seen: deque[tuple[float, float]] = deque()  # times and the work that was done by then

    def update(done: float, total: float, what: str) -> None:
        nonlocal last
        stop_if_interrupted()
        now = time.monotonic()
        if seen and done < seen[-1][1]:  # other work has begun
            seen.clear()
        if not seen or now - seen[-1][0] >= 1:
            seen.append((now, done))
        while now - seen[0][0] > _SPEED_OVER:
            seen.popleft()
        if now - last >= _LINE_EVERY:
            last = now
            then, before = seen[0]
            speed = (done - before) / (now - then) if now > then else 0
            left = f"{(total - done) / speed:.0f} s left" if speed else "remaining time unknown yet"
            say(f"{floor(100 * done / total):3d} %  {left}  {what}")  # 100 at the end only

    return update
