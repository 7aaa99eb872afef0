"""The one error that a user can cause, and the hint that repairs a mistyped name."""

from collections.abc import Iterable
from difflib import get_close_matches


class MetamersError(ValueError):
    """Bad input: one line that names the thing, the place and the repair. The command line prints it and exits 2.

    place: the keys, in a configuration, of what it is about, where that is known.
    """

    def __init__(self, message: str, place: tuple[str | int, ...] = ()) -> None:
        super().__init__(message)
        self.place = place


def nearest(name: str, options: Iterable[str]) -> str:
    """A hint at up to three options that are spelled like `name`, to end an error message with; "" where none is.

    >>> nearest("layer22", ["conv1", "layer1", "layer2"])
    "; did you mean 'layer2' or 'layer1'?"
    >>> nearest("x", ["layer1"])
    ''
    """
    by_folded: dict[str, str] = {}
    for option in options:
        by_folded.setdefault(option.casefold(), option)
    close = [repr(by_folded[folded]) for folded in get_close_matches(name.casefold(), by_folded, n=3)]
    if not close:
        return ""
    return f"; did you mean {' or '.join([', '.join(close[:-1]), close[-1]] if len(close) > 1 else close)}?"
