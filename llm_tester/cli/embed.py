"""llm-tester embed"""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from llm_tester.cli.ask import parameter_of
from llm_tester.cli.console import JsonOption, WorkspaceOption, err, print_json, single, workspace
from llm_tester.cost_manager import usd_text
from llm_tester.errors import ConfigurationError, ProviderError
from llm_tester.evals.entrants import split_model
from llm_tester.llms.base import BaseLLM
from llm_tester.llms.choosing import chosen_provider
from llm_tester.llms.embeddings import Embeddings
from llm_tester.llms.llm_registry import ProviderRegistry
from llm_tester.reporting.tables import safe
from llm_tester.reporting.text import dollars, printable

SHOWN_LETTERS, SHOWN_NUMBERS = 40, 4

app = single()


@app.command()
def embed(
    text: Annotated[list[str], typer.Argument(metavar="TEXT...", help="The texts; - reads one per line.")],
    model: Annotated[
        str | None, typer.Option("-m", "--model", metavar="P:M", help="provider:model, or a provider alone.")
    ] = None,
    parameter: Annotated[
        list[str] | None,
        typer.Option("-p", "--param", metavar="NAME=VALUE", help="A parameter: dimensions=256."),
    ] = None,
    as_json: JsonOption = False,
    named: WorkspaceOption = None,
) -> None:
    """Turn texts into vectors; prints where each one begins, then tokens and cost. --json has all of it."""
    texts = [line for given in text for line in _lines(given)]
    if not any(texts):
        raise ConfigurationError("there is no text", hint="Give texts as arguments, or pipe them in after -.")
    provider, chosen = _provider(ProviderRegistry(workspace(named)), model)
    try:
        found = provider.embeddings(texts, chosen, **dict(parameter_of(given) for given in parameter or ()))
    except ProviderError as error:
        err().print(safe(f"Error: {error.message}"), *([safe(f"  {error.hint}")] if error.hint else []), sep="\n")
        raise typer.Exit(1) from None
    if as_json:
        print_json(_as_json(found))
        return
    for given, vector in zip(texts, found.vectors, strict=True):
        sys.stdout.write(f"{_start(given)}  {_beginning(vector)}\n")
    err().print(safe(_summary(found)), style="dim")


def _provider(registry: ProviderRegistry, model: str | None) -> tuple[BaseLLM, str | None]:
    names = registry.discovered()
    if model is None:
        return chosen_provider(registry, fallback=False, embeds=True), None
    name, chosen = (model, None) if model in names else split_model(model, names)
    provider = registry.get(name)
    wanted = chosen or provider.default_embedding_model
    if provider.embeds and wanted:
        provider.prepare(wanted)
    return provider, chosen


def _lines(given: str) -> list[str]:
    return [line for line in sys.stdin.read().splitlines() if line.strip()] if given == "-" else [given]


def _start(text: str) -> str:
    line = " ".join(printable(text).split())
    return line if len(line) <= SHOWN_LETTERS else f"{line[: SHOWN_LETTERS - 1]}…"


def _beginning(vector: list[float]) -> str:
    numbers = " ".join(f"{number:.4f}" for number in vector[:SHOWN_NUMBERS])
    return f"[{numbers}{' …' if len(vector) > SHOWN_NUMBERS else ''}] {len(vector)} dimensions"


def _summary(found: Embeddings) -> str:
    first, cost = found.responses[0], found.cost
    tokens = found.input_tokens
    told = dollars(cost.usd) if cost.usd is not None else "cost unknown"
    parts = [
        f"{first.provider}:{first.served_model}",
        "tokens unknown" if tokens is None else f"{tokens:,} tokens",
        f"{told} (simulated)" if first.simulated else told,
    ]
    parts += [f"not applied as asked: {', '.join(first.not_applied)}"] if first.not_applied else []
    return " · ".join(parts)


def _as_json(found: Embeddings) -> dict[str, Any]:
    first, cost = found.responses[0], found.cost
    return {
        "model": f"{first.provider}:{first.model}",
        "served_model": first.served_model,
        "dimensions": len(found.vectors[0]),
        "vectors": found.vectors,
        "input_tokens": found.input_tokens,
        "cost_usd": None if cost.usd is None else usd_text(cost.usd),
        "price_source": cost.source,
        "requests": len(found.responses),
        "attempts": sum(len(response.attempts) for response in found.responses),
        "not_applied": list(first.not_applied),
        "simulated": first.simulated,
    }
