"""Small data of genai-prices' kind, made here, and what a sync with it plans."""

from __future__ import annotations

from datetime import date, time
from decimal import Decimal
from typing import Any

from genai_prices.types import (
    ClauseEquals,
    ClauseOr,
    ConditionalPrice,
    ModelInfo,
    ModelPrice,
    Provider,
    StartDateConstraint,
    TimeOfDateConstraint,
)

from llm_tester.catalogue import ProviderConfig
from llm_tester.llms.catalogue_sync import SyncPlan, plan_sync

TODAY = date(2026, 11, 21)
D = Decimal


def model(name: str, prices: ModelPrice | list[ConditionalPrice], *aliases: str) -> ModelInfo:
    names = [ClauseEquals(alias) for alias in (name, *aliases)]
    return ModelInfo(id=name, match=ClauseOr(names), prices=prices)  # type: ignore[arg-type]


def per_token(cost_input: str, cost_output: str, **more: Any) -> ModelPrice:
    return ModelPrice(input_mtok=D(cost_input), output_mtok=D(cost_output), **more)


def from_day(year: int, month: int, day: int, prices: ModelPrice) -> ConditionalPrice:
    return ConditionalPrice(StartDateConstraint(date(year, month, day)), prices=prices)


def at_times(start: time, end: time, prices: ModelPrice) -> ConditionalPrice:
    return ConditionalPrice(TimeOfDateConstraint(start, end), prices=prices)


def acme(*models: ModelInfo, **more: Any) -> Provider:
    return Provider(id="acme", name="Acme", api_pattern=r"https://api\.acme\.example", models=list(models), **more)


def listed(*entries: dict[str, Any]) -> ProviderConfig:
    return ProviderConfig.model_validate({"name": "acme", "api": "openai", "llm_models": entries})


def planned(*models: ModelInfo, config: ProviderConfig | None = None, today: date = TODAY, **more: Any) -> SyncPlan:
    return plan_sync(config or listed(), "acme", today, providers=[acme(*models)], **more)
