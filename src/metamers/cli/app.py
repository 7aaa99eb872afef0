"""The application: its commands, and what its exit codes mean."""

import os
import sys

from cyclopts import App, CycloptsError

from metamers import __version__
from metamers.cli.analyze import analyze
from metamers.cli.attack import attack
from metamers.cli.clean import clean
from metamers.cli.demo import demo
from metamers.cli.experiment import experiment
from metamers.cli.import_responses import import_responses
from metamers.cli.inspect import models, stages
from metamers.cli.interrupts import remembered_interrupts
from metamers.cli.make import make
from metamers.cli.output import stdout_kept_for_results
from metamers.cli.prove import report, verify
from metamers.cli.recognize import recognize
from metamers.cli.replicate import replicate
from metamers.cli.run import run, schema
from metamers.cli.status import status
from metamers.cli.train import train
from metamers.errors import MetamersError

BAD_INPUT = 2
INTERRUPTED = 130

app = App(
    name="metamers",
    version=__version__,
    help="Model metamers: made, proved, and shown to other models and to people.",
    help_format="plaintext",
    suppress_keyboard_interrupt=False,  # main says how to resume
)
COMMANDS = (
    *(
        demo,
        models,
        stages,
        make,
        recognize,
        run,
        status,
        clean,
        schema,
        import_responses,
        verify,
        report,
        train,
        attack,
        replicate,
    ),
)
for command in COMMANDS:
    app.command(command)
app.command(analyze)
app.command(experiment)


def main() -> None:
    """Run the command line. Exit codes: 0 finished, 1 `--strict` failures or `verify` differences, 2 bad input, 130
    interrupted."""
    try:
        with stdout_kept_for_results("--json" in sys.argv), remembered_interrupts():
            sys.exit(app(sys.argv[1:], exit_on_error=False, print_error=False))
    except CycloptsError as error:
        named = next((name for name in sys.argv[1:2] if name in app), "")
        _say_error(f"{error} `{' '.join(filter(None, ('metamers', named, '--help')))}` shows the usage.")
        sys.exit(BAD_INPUT)
    except MetamersError as error:
        _say_error(str(error))
        sys.exit(BAD_INPUT)
    except BrokenPipeError:
        # Whoever read the output has seen enough; Python would complain again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except OSError as error:  # a file that no step expected to fail
        place = "" if error.filename is None else f"{error.filename}: "
        _say_error(f"{place}{error.strerror or error}; mend that and run the same command again")
        sys.exit(BAD_INPUT)
    except KeyboardInterrupt:
        print("\nmetamers: interrupted; run the same command again to resume", file=sys.stderr)
        sys.exit(INTERRUPTED)


def _say_error(text: str) -> None:
    print("metamers: error: " + " ".join(text.split()), file=sys.stderr)
