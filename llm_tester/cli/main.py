"""The `llm-tester` program: a table of commands, each imported when it is used."""

from __future__ import annotations

import importlib
import io
import os
import sys
from pathlib import Path
from typing import Annotated, Any, NamedTuple, TextIO

import typer
import typer.core

from llm_tester.cli import logs
from llm_tester.errors import LLMTesterError
from llm_tester.version import __version__

EXIT_FAILED, EXIT_USAGE = 1, 2


class Entry(NamedTuple):
    """Where a command stands, and its line in the help."""

    module: str
    help: str


COMMANDS = {
    "demo": Entry("demo", "Run the bundled tasks on simulated models: no key, no network, no cost."),
    "init": Entry("init", "Make a workspace: config.json, tasks/, providers/."),
    "tasks": Entry("tasks", "List, check and make tasks."),
    "plan": Entry("plan", "What a run would ask, cost and take, likely and at most; nothing is sent."),
    "run": Entry("run", "Run tasks on models and show which is best, at what cost."),
    "resume": Entry("resume", "Go on with a run that stopped; nothing stored is asked for again."),
    "show": Entry("show", "Show a run, one of its samples, or what went wrong in it."),
    "report": Entry("report", "Write a run's cost report as an HTML page, or print it as Markdown, CSV or JSON."),
    "rescore": Entry("rescore", "Score a run's stored answers again with the scorer of today; no model is asked."),
    "reprice": Entry("reprice", "Show what a run would cost at the catalogue's prices of today or another day."),
    "runs": Entry("runs", "List, export and delete runs."),
    "costs": Entry("costs", "What all runs have cost, by model, task, day and more."),
    "ask": Entry("ask", "Ask one model one question; the answer as it comes, with tokens and cost."),
    "embed": Entry("embed", "Turn texts into vectors, with tokens and cost."),
    "providers": Entry("providers", "List, show, check and make providers."),
    "models": Entry("models", "List models with prices and limits; bring prices up to date."),
    "prices": Entry("prices", "Compare the catalogues' prices with the installed genai-prices."),
    "cache": Entry("cache", "Show and prune the answers that run --cache gives again."),
    "config": Entry("config", "Show every setting and where its value comes from."),
    "schema": Entry("schema", "Print the JSON Schema of config.json and task.json, for editors."),
}


class CommandTable(typer.core.TyperGroup):
    """Commands by name; only the one that is called is imported."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Their names, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command, imported."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"llm_tester.cli.{COMMANDS[cmd_name].module}")
        command = typer.main.get_command(module.app)
        command.name = cmd_name
        return command

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """The table in the help, without importing any command."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.help) for name, entry in COMMANDS.items()])


app = typer.Typer(
    cls=CommandTable,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"llm-tester {__version__}\n")
        raise typer.Exit


@app.callback()
def program(
    _asked: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and end.")
    ] = False,
    log: Annotated[
        Path | None, typer.Option("--log", metavar="FILE", help="Append a line per call to this file; never a key.")
    ] = None,
    log_level: Annotated[
        logs.Level, typer.Option(help="How much goes into the log; debug has prompts and answers.")
    ] = "info",
) -> None:
    """Which model, from which provider, does the job well enough for the least money, and how sure is that?"""
    if log is not None:
        logs.start(log, log_level)


def main() -> None:
    """Run the program; every error of ours becomes one message and an exit code."""
    # A stream that was closed by the caller is None, and nothing that is printed may end a run for that.
    sys.stdout = sys.stdout or _nowhere()
    sys.stderr = sys.stderr or _nowhere()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # Not every terminal and pipe takes UTF-8; a sign that it has no code for is no reason to end.
            stream.reconfigure(errors="backslashreplace")
    try:
        try:
            app(prog_name="llm-tester")
        finally:
            # Here, where it can be told; the interpreter's own flush at the end could only fail.
            sys.stdout.flush()
    except LLMTesterError as error:
        print_error(error)
        sys.exit(EXIT_USAGE)
    except OSError as error:
        _drop_output()
        if isinstance(error, BrokenPipeError):
            sys.exit(EXIT_FAILED)
        print_error(LLMTesterError(f"{error.strerror or error}", hint="Check the disk, and where the output goes."))
        sys.exit(EXIT_FAILED)


def _drop_output() -> None:
    """Let what is still buffered for standard output go nowhere, as it cannot be written."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def _nowhere() -> TextIO:
    return Path(os.devnull).open("w", encoding="utf-8")


def print_error(error: LLMTesterError) -> None:
    """The error and what to do next, on standard error."""
    sys.stderr.write(f"Error: {_visible(error.message)}\n")
    if error.hint:
        sys.stderr.write(f"  {_visible(error.hint)}\n")


def _visible(text: str) -> str:
    """`text` with its control characters spelled out: it may quote what a data set or a server said."""
    return "".join(
        letter if letter.isprintable() or letter == "\n" else letter.encode("unicode_escape").decode()
        for letter in text
    )


if __name__ == "__main__":
    main()
