"""The command line: finds the command, loads it alone, and turns every ending into an exit code."""

import gc
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

import typer

from core.errors import TidemillError, UnknownName, UserError
from tidemill.commands.table import COMMANDS, Command, load
from tidemill.options import GlobalOptions
from tidemill.stopping import leave_on_signals, raise_on_signals, refuse_stopped

DONE, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130

_GLOBAL_OPTIONS = ("--data", "--config", "--log")
_LONE_OPTIONS = ("--version", "--help", "-h")
_EPILOG = "--data DIR, --config FILE and --log LEVEL may stand before or after the command."


def main() -> NoReturn:
    """Run the command line of this process and exit: 0 done, 1 failed, 2 usage, 130 Ctrl-C, 143 SIGTERM."""
    try:
        raise_on_signals()
        code = run(sys.argv[1:])
    except KeyboardInterrupt:
        # While the last words were written.
        code = INTERRUPTED
    leave_on_signals(code)
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader went away (`| head`); Python must not complain about it again while it shuts down.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    # The process ends: collecting what its modules hold would only make a short command longer.
    gc.freeze()
    sys.exit(code)


def run(argv: Sequence[str]) -> int:
    """Run one command line and give its exit code; every failure is one line on stderr."""
    options = GlobalOptions()
    try:
        args = _hoist(argv)
        app = application(_chosen(args), options)
        result = app(args, prog_name="tidemill", standalone_mode=False)
        return result if isinstance(result, int) else DONE
    except UserError as error:
        return _say(options, error, USAGE)
    except TidemillError as error:
        return _say(options, error, FAILED)
    except typer.TyperException as error:
        return _say(options, error, USAGE, _mended(error), " (see --help)")
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the last line of defence: no traceback reaches the user unasked
        stop = _stop_behind(error)
        if isinstance(stop, SystemExit):
            raise stop from None
        if stop is not None:
            return INTERRUPTED
        text = f"unexpected {type(error).__name__}: {error}"
        return _say(options, error, FAILED, text, " (run with --log debug for the traceback)")


def _stop_behind(error: BaseException | None) -> KeyboardInterrupt | SystemExit | None:
    """Find what a signal handler raised: DuckDB and Bytewax wrap it where it meets them."""
    while error is not None:
        if isinstance(error, KeyboardInterrupt | SystemExit):
            return error
        error = error.__cause__ or error.__context__
    return None


def application(chosen: str | None, options: GlobalOptions) -> typer.Typer:
    """Build the application with the module of one command loaded; the others are names with a summary."""
    app = typer.Typer(
        add_completion=False,
        invoke_without_command=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    )
    app.callback(epilog="One command's options and an example: tidemill COMMAND --help")(_globals(options))
    for command in COMMANDS.values():
        function = _unpiped(_load(command)) if command.name == chosen else _stub
        app.command(
            command.name,
            help=None if command.name == chosen else command.summary,
            short_help=command.summary,
            epilog=_EPILOG,
        )(function)
    return app


def _globals(options: GlobalOptions) -> Any:
    def tidemill(
        ctx: typer.Context,
        data: Annotated[Path | None, typer.Option(help="The data folder (or TIDEMILL_DATA).")] = None,
        config: Annotated[Path | None, typer.Option(help="The settings file (or TIDEMILL_CONFIG).")] = None,
        log: Annotated[
            Literal["debug", "info", "warning", "error"] | None, typer.Option(help="The log level (or TIDEMILL_LOG).")
        ] = None,
        show_version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
    ) -> None:
        """Record every public trade, prove every candle, decide on signals."""
        if show_version:
            typer.echo(f"tidemill {load('importlib.metadata').version('tidemill')}")
            raise typer.Exit
        if ctx.invoked_subcommand is None:
            typer.echo(ctx.get_help())
            raise typer.Exit(USAGE)
        options.data, options.config, options.log = data, config, log
        options.debugging = log == "debug"
        ctx.obj = options

    return tidemill


def _load(command: Command) -> Any:
    function = getattr(load(command.module), command.name)
    refuse_stopped()
    return function


def _unpiped(function: Callable[..., None]) -> Callable[..., None]:
    @wraps(function)
    def quiet(*args: Any, **kwargs: Any) -> None:
        try:
            function(*args, **kwargs)
        except BrokenPipeError:
            # Who reads has had enough (`| head`): that is no failure.
            raise typer.Exit(DONE) from None

    return quiet


def _stub() -> None:
    raise AssertionError("a command that was not chosen cannot be called")


def _hoist(argv: Sequence[str]) -> list[str]:
    """Move the global options to the front, so that they may stand anywhere before ``--``."""
    front: list[str] = []
    rest: list[str] = []
    words = iter(argv)
    for word in words:
        if word == "--":
            rest += [word, *words]
        elif word in _GLOBAL_OPTIONS:
            value = next(words, None)
            if value is None:
                raise UserError(f"{word} needs a value: see tidemill --help")
            front += [word, value]
        elif word.startswith(tuple(f"{option}=" for option in _GLOBAL_OPTIONS)):
            front.append(word)
        else:
            rest.append(word)
    return front + rest


def _chosen(args: Sequence[str]) -> str | None:
    words = iter(args)
    for word in words:
        if word in _GLOBAL_OPTIONS:
            next(words, None)
        elif word.startswith("-"):
            name = word.partition("=")[0]
            if name not in (*_GLOBAL_OPTIONS, *_LONE_OPTIONS, "--"):
                raise UnknownName("option", name, (*_GLOBAL_OPTIONS, *_LONE_OPTIONS))
        else:
            if word not in COMMANDS:
                raise UnknownName("command", word, COMMANDS)
            return word
    return None


def _mended(error: typer.TyperException) -> str:
    option, said = getattr(error, "option_name", None), error.format_message().replace("Value error, ", "")
    if isinstance(option, str) and not getattr(error, "possibilities", None):
        # The options that stand everywhere are not the command's own.
        near = get_close_matches(option, _GLOBAL_OPTIONS, n=1)
        return f"{said}: did you mean {near[0]}?" if near else said
    return said


def _say(options: GlobalOptions, error: BaseException, code: int, text: str | None = None, advice: str = "") -> int:
    if options.debugging:
        sys.stderr.write(options.redact("".join(traceback.format_exception(error))))
        advice = ""
    line = " ".join((text if text is not None else str(error)).split())
    sys.stderr.write(f"tidemill: {options.redact(line)}{advice}\n")
    return code
