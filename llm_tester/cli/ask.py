"""llm-tester ask"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from typing import Annotated, Any

import typer

from llm_tester.cli.console import JsonOption, WorkspaceOption, err, print_json, single, workspace
from llm_tester.cost_manager import usd_text
from llm_tester.errors import ConfigurationError, ProviderError
from llm_tester.evals.entrants import split_model
from llm_tester.llms.llm_registry import ProviderRegistry
from llm_tester.llms.provider_manager import ProviderManager
from llm_tester.records import Request, Response, chat
from llm_tester.reporting.tables import safe
from llm_tester.reporting.text import dollars, milliseconds, printable

app = single()


@app.command()
def ask(
    prompt: Annotated[str, typer.Argument(help="The question; - reads it from standard input.")],
    model: Annotated[str, typer.Option("-m", "--model", metavar="P:M", help="provider:model, or a provider alone.")],
    system: Annotated[str, typer.Option(help="The system prompt.")] = "",
    parameter: Annotated[
        list[str] | None,
        typer.Option("-p", "--param", metavar="NAME=VALUE", help="A parameter: max_tokens=50."),
    ] = None,
    as_json: JsonOption = False,
    named: WorkspaceOption = None,
) -> None:
    """Ask one model one question; prints the answer as it comes, then tokens, cost and time."""
    registry = ProviderRegistry(workspace(named))
    request = _request(registry, model, prompt, system, dict(parameter_of(text) for text in parameter or ()))
    manager = ProviderManager(registry=registry)
    try:
        response = manager.respond(request) if as_json else _streamed(manager, request)
    except ProviderError as error:
        if error.text and not as_json:
            sys.stdout.write("\n")
        err().print(safe(f"Error: {error.message}"), *([safe(f"  {error.hint}")] if error.hint else []), sep="\n")
        raise typer.Exit(1) from None
    if as_json:
        print_json(_as_json(response))
    else:
        err().print(safe(_summary(response)), style="dim")


def _request(registry: ProviderRegistry, model: str, prompt: str, system: str, parameters: dict[str, Any]) -> Request:
    names = registry.discovered()
    if model in names or not {":", "/"} & {*model}:
        provider, chosen = registry.get(model), None
    else:
        name, chosen = split_model(model, names)
        provider = registry.get(name)
    text = sys.stdin.read() if prompt == "-" else prompt
    if not text.strip():
        raise ConfigurationError("the question is empty", hint="Give it as an argument, or pipe it in after -.")
    request = provider.request(text, chosen)
    provider.prepare(request.model)
    return replace(request, messages=chat(text, system), parameters=parameters)


def parameter_of(text: str) -> tuple[str, Any]:
    """The name and the value of NAME=VALUE, the value as JSON where it is JSON, else as text."""
    name, given, value = text.partition("=")
    if not name or not given:
        raise ConfigurationError(f'--param "{text}": expected NAME=VALUE', hint="For example -p temperature=0.2.")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _streamed(manager: ProviderManager, request: Request) -> Response:
    ending = ""
    with manager.stream(request) as stream:
        for piece in stream:
            ending = printable(piece) or ending
            sys.stdout.write(printable(piece))
            sys.stdout.flush()
        if not ending.endswith("\n"):
            sys.stdout.write("\n")
        return stream.response


def _summary(response: Response) -> str:
    usage = response.usage
    counted = usage.input is not None and usage.output is not None
    cost = dollars(response.cost.usd) if response.cost.usd is not None else "cost unknown"
    parts = [
        f"{response.served_provider}:{response.served_model}",
        f"{usage.input:,} in, {usage.output:,} out" if counted else "tokens unknown",
        f"{cost} (simulated)" if response.simulated else cost,
    ]
    parts += [milliseconds(response.latency_ms)] if response.latency_ms is not None else []
    parts += [f"ended by {response.finish_reason}"] if response.finish_reason not in (None, "stop") else []
    parts += [f"not applied as asked: {', '.join(response.not_applied)}"] if response.not_applied else []
    return " · ".join(parts)


def _as_json(response: Response) -> dict[str, Any]:
    return {
        "text": response.text,
        "model": f"{response.provider}:{response.model}",
        **({} if response.served_provider == response.provider else {"served_provider": response.served_provider}),
        "served_model": response.served_model,
        "finish_reason": response.finish_reason,
        "usage": response.usage.counts(),
        "cost_usd": None if response.cost.usd is None else usd_text(response.cost.usd),
        "price_source": response.cost.source,
        "latency_ms": response.latency_ms,
        "attempts": len(response.attempts),
        "not_applied": list(response.not_applied),
        "simulated": response.simulated,
    }
