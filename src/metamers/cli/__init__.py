"""The command line: a thin skin over the package. Each command imports what it needs when it runs."""

from metamers.cli.app import main

__all__ = ["main"]
