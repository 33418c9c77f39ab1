"""What is to be run, as `run` and `plan` take it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from llm_tester.config import EntrantConfig
from llm_tester.evals.matrix import matrix, read_entrant, read_parameters

TasksArgument = Annotated[list[str] | None, typer.Argument(metavar="TASK", help="Names or folders of tasks.")]
ModelOption = Annotated[
    list[str] | None, typer.Option("-m", "--model", metavar="P:M", help="provider:model; once per model.")
]
PromptOption = Annotated[
    list[str] | None,
    typer.Option("--prompt", metavar="NAME", help="A prompt of the task; once per variant to compare."),
]
ParamOption = Annotated[
    list[str] | None, typer.Option("--param", metavar="KEY=VALUE", help="A parameter for every model of -m.")
]
ParamsOption = Annotated[
    list[str] | None,
    typer.Option("--params", metavar="JSON", help="A set of parameters, or @FILE; once per set to compare."),
]
EntrantOption = Annotated[
    list[str] | None, typer.Option("--entrant", metavar="JSON", help="One entrant as in config.json, or @FILE.")
]
LimitOption = Annotated[int | None, typer.Option("--limit", min=1, help="At most this many samples of each task.")]
ConnectionsOption = Annotated[
    int | None,
    typer.Option("--max-connections", min=1, max=1024, help="At most this many calls in flight to one provider."),
]
EpochsOption = Annotated[int | None, typer.Option("--epochs", min=1, max=1000, help="Ask each sample this often.")]
CanaryOption = Annotated[
    bool | None,
    typer.Option("--canary/--no-canary", help="Try each model with one call first; a bad key drops it."),
]
ProjectOption = Annotated[str | None, typer.Option("--project", help="Whose bill the run's calls stand on.")]


def chosen(
    model: Sequence[str] | None,
    prompt: Sequence[str] | None,
    param: Sequence[str] | None,
    params: Sequence[str] | None,
    entrant: Sequence[str] | None,
) -> list[str | EntrantConfig]:
    """The entrants that the options name: each model with each prompt and parameters, then those of --entrant."""
    crossed = matrix(model or (), prompt or (), read_parameters(param or (), params or ()))
    return [*crossed, *[read_entrant(text) for text in entrant or ()]]
