"""llm-tester tasks"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from llm_tester.cli.console import JsonOption, WorkspaceOption, out, print_json, single, workspace
from llm_tester.errors import ConfigurationError
from llm_tester.evals.checking import TaskCheck, check_task
from llm_tester.evals.drafting import MadeTask, Wish, draft_task
from llm_tester.evals.scaffold import make_task
from llm_tester.evals.tasks import FoundTask, find_tasks, load_task
from llm_tester.llms.parameter_names import doubtful
from llm_tester.reporting.tables import listing, safe
from llm_tester.reporting.text import counted, printable

app = single(no_args_is_help=True)
NameArgument = Annotated[str, typer.Argument(metavar="TASK", help="A task's name or folder.")]


@app.callback()
def tasks() -> None:
    """List, check and make tasks."""


@app.command("list")
def list_tasks(as_json: JsonOption = False, named: WorkspaceOption = None) -> None:
    """The tasks of the workspace and the bundled ones."""
    found = list(find_tasks(workspace(named)).values())
    if as_json:
        print_json([_row(task) for task in found])
        return
    rows = [(entry["name"], entry["scorer"], entry["source"], entry["description"]) for entry in map(_row, found)]
    out().print(listing(("Task", "Scorer", "Where", "What it asks"), rows))


def _row(found: FoundTask) -> dict[str, str]:
    row = {"name": found.name, "source": found.source, "folder": str(found.folder)}
    if found.task is None:
        return row | {"scorer": "–", "description": f"broken: {found.problem}"}
    return row | {"scorer": found.task.config.scorer.type, "description": found.task.config.description}


@app.command()
def check(name: NameArgument, named: WorkspaceOption = None) -> None:
    """Prove a task: every sample is sound, every gold is a right answer, and golds of others are wrong ones."""
    task = load_task(name, workspace(named))
    found = check_task(task)
    screen = out()
    screen.print(safe(f"{task.name}: {found.samples:,} samples. The first prompt:\n"), style="bold")
    screen.print(safe(found.prompt), style="dim")
    screen.print()
    doubts = [f"Warning: parameters: {line}" for line in doubtful(task.config.parameters)]
    doubts += [f"Warning: {note}." for note in task.notes()]
    for line in [*findings(found), *doubts]:
        screen.print(safe(line))
    raise typer.Exit(0 if found.passed else 1)


def findings(found: TaskCheck) -> list[str]:
    """What a check found, a line each."""
    lines = []
    for sample_id, score in found.imperfect[:10]:
        lines.append(f'The gold of "{sample_id}" scores {score:.3f} against itself, not 1.')
    if found.imperfect and found.has_example:
        lines.append('Say with "example" in the scorer how a right answer looks, such as "Answer: {target}".')
    if found.unproved:
        lines.append(f"Of {counted(found.unproved, 'sample')} the scorer knows no right answer, so nothing is proved.")
    elif found.passed:
        lines.append("Every gold satisfies its schema and scores 1.000 against itself.")
    lines += [f"Warning: {note}" for note in found.rule_notes]
    if found.chance is not None:
        lines.append(f"Golds shuffled among samples score {found.chance:.3f}.")
        if found.majority is not None:
            option, share = found.majority
            lines.append(f'To answer "{option}", the most frequent of {found.choices} choices, always: {share:.3f}.')
        if found.chance > found.chance_limit:
            named = ", ".join(f"{path or 'the answer'} ({share:.0%} alike)" for path, share in found.causes)
            lines.append(f"Warning: that is above {found.chance_limit:.2g}: guessing is rewarded. {named}".rstrip())
    return lines


@app.command()
def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The new task's name.")],
    source: Annotated[
        Path | None, typer.Option("--from", metavar="FILE", help="A .csv, .tsv or .jsonl file or a folder of samples.")
    ] = None,
    input_column: Annotated[str | None, typer.Option("--input", metavar="COL", help="The column of the input.")] = None,
    target: Annotated[
        list[str] | None, typer.Option("--target", metavar="COL", help="The column of the target; several: one each.")
    ] = None,
    id_column: Annotated[str | None, typer.Option("--id", metavar="COL", help="The column of the id.")] = None,
    scorer: Annotated[
        str | None, typer.Option(metavar="TYPE", help="How answers are scored; else as targets are.")
    ] = None,
    prompt: Annotated[
        str | None, typer.Option(metavar="TEXT", help="The prompt; the input goes to {{ input }}, else below it.")
    ] = None,
    encoding: Annotated[
        str | None, typer.Option(metavar="NAME", help="The file's encoding, such as cp1252, where it is not UTF-8.")
    ] = None,
    named: WorkspaceOption = None,
) -> None:
    """Make a small task that works as it stands, or one of your own samples; nothing is ever overwritten."""
    options = {"--input": input_column, "--target": target, "--id": id_column, "--scorer": scorer}
    options |= {"--prompt": prompt, "--encoding": encoding}
    if source is None:
        needless = next((option for option, value in options.items() if value is not None), None)
        if needless:
            raise ConfigurationError(f"{needless} belongs to --from FILE", hint="Name the file with your samples.")
        made = MadeTask(make_task(name, workspace(named)), 3, "fields", ())
    else:
        wish = Wish(source, input_column, tuple(target or ()), id_column, scorer, prompt, encoding)
        made = draft_task(name, workspace(named), wish)
    sys.stdout.write(f"made {made.folder}/\n")
    if source is not None:
        sys.stdout.write(f"{made.samples:,} samples, scored by {made.scorer}\n")
    for note in made.notes:
        sys.stdout.write(f"Note: {printable(note)}.\n")
    sys.stdout.write(f"Next: llm-tester tasks check {name}, then llm-tester run {name} -m provider:model\n")
