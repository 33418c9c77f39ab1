"""What `run` and `plan` can be told, and the entrants that it comes to."""

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
    list[str] | None, typer.Option(metavar="NAME", help="A prompt of the task, or default; once per variant.")
]
ParamOption = Annotated[list[str] | None, typer.Option(metavar="KEY=VALUE", help="A parameter for every model of -m.")]
ParamsOption = Annotated[
    list[str] | None, typer.Option(metavar="JSON", help="A set of parameters, or @FILE; once per set to compare.")
]
EntrantOption = Annotated[
    list[str] | None, typer.Option(metavar="JSON", help="One entrant as in config.json, or @FILE.")
]
LimitOption = Annotated[int | None, typer.Option(min=1, help="At most this many samples of each task.")]
ConnectionsOption = Annotated[
    int | None, typer.Option(min=1, max=1024, help="At most this many calls in flight to one provider.")
]
EpochsOption = Annotated[int | None, typer.Option(min=1, max=1000, help="Ask each sample this often.")]
CanaryOption = Annotated[
    bool | None, typer.Option("--canary/--no-canary", help="Try each model with one call first; a bad key drops it.")
]
CacheOption = Annotated[
    bool | None, typer.Option("--cache/--no-cache", help="Take answers that earlier runs with --cache bought, for $0.")
]
OutageOption = Annotated[
    float | None,
    typer.Option(min=0.1, metavar="SECONDS", help="Stop when a failing model brings no answer for so long."),
]
ThresholdOption = Annotated[
    float | None, typer.Option(min=0, max=1, help="Exit with 1 when an entrant's score on a task is lower.")
]
NameOption = Annotated[str | None, typer.Option(help="A name for the run, to refer to it by.")]
ProjectOption = Annotated[str | None, typer.Option(help="Whose bill the run's calls stand on.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask, whatever the run may cost.")]


def entrants(
    models: Sequence[str] | None,
    prompts: Sequence[str] | None,
    params: tuple[Sequence[str] | None, Sequence[str] | None],
    described: Sequence[str] | None,
) -> list[str | EntrantConfig]:
    """Every model with every prompt variant and parameter set (`--param`, `--params`), and those that are described."""
    single, sets = params
    return [
        *matrix(models or (), prompts or (), read_parameters(single or (), sets or ())),
        *[read_entrant(text) for text in described or ()],
    ]
