"""Catalogues from published data: names and prices from genai-prices, limits and capabilities from LiteLLM's map.

genai-prices' data is what the installed package brings, LiteLLM's map a file that the user names; nothing is fetched.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from importlib.metadata import distribution
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llm_tester.catalogue import ModelEntry, Prices, PriceTier, ProviderConfig, TimedPrices
from llm_tester.cost_manager import usd_text
from llm_tester.documents import read_json, read_text
from llm_tester.errors import ConfigurationError, suggestion

if TYPE_CHECKING:
    from genai_prices.types import ConditionalPrice, ModelInfo, ModelPrice, Provider, TieredPrices

RATES = {
    "input_mtok": "cost_input",
    "output_mtok": "cost_output",
    "cache_read_mtok": "cost_cached_input",
    "cache_write_mtok": "cost_cache_write_5m",
    "cache_write_1h_mtok": "cost_cache_write_1h",
    "input_audio_mtok": "cost_audio_input",
    "output_audio_mtok": "cost_audio_output",
    "requests_kcount": "cost_per_request",
}
CAPABILITIES = {
    "supports_function_calling": "tools",
    "supports_vision": "vision",
    "supports_response_schema": "json_schema",
    "supports_reasoning": "reasoning",
    "supports_prompt_caching": "prompt_caching",
    "supports_pdf_input": "pdf_input",
    "supports_audio_input": "audio_input",
    "supports_audio_output": "audio_output",
    "supports_web_search": "web_search",
}
LITELLM_NAMES = {"x-ai": "xai", "together": "together_ai", "google": "gemini", "fireworks": "fireworks_ai"}
COSTS = tuple(Prices.model_fields)
PRICE_FIELDS = (*COSTS, "tiers", "timed_prices")
LIMIT_FIELDS = ("max_input_tokens", "max_output_tokens", "capabilities")
LISTS = ("tiers", "timed_prices", "capabilities")
CONDITIONS = ("above", "valid_from", "from_utc", "until_utc")
ORDER = ("name", "default", *CONDITIONS, *PRICE_FIELDS, "priced_on", *LIMIT_FIELDS)
DECIMALS = 6

Limits = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class FieldChange:
    """A field of a model with its JSON values before and after; None where it is absent."""

    field: str
    old: Any
    new: Any


@dataclass(frozen=True, slots=True)
class ModelChange:
    """What a sync changes in one listed model."""

    name: str
    fields: tuple[FieldChange, ...]

    @property
    def prices(self) -> tuple[FieldChange, ...]:
        """The changes of prices alone."""
        return tuple(change for change in self.fields if change.field in PRICE_FIELDS)


@dataclass(frozen=True, slots=True)
class SyncPlan:
    """What a sync would do to a provider's models.

    `added` are models that the catalogue lacks, `gone` those that the data lacks, `left_out` says by model why the
    data cannot be expressed, in whole or in part.
    """

    provider: str
    priced_on: date
    added: tuple[ModelEntry, ...] = ()
    changed: tuple[ModelChange, ...] = ()
    gone: tuple[str, ...] = ()
    left_out: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Offer:
    """A model as the data has it; `entry` is None when it cannot be expressed, `notes` say what cannot."""

    entry: ModelEntry | None
    notes: tuple[str, ...]


# --- the data


def bundled() -> tuple[tuple[Provider, ...], date]:
    """genai-prices' providers, and the day on which the package was installed."""
    from genai_prices.data import providers

    file = Path(str(distribution("genai-prices").locate_file("genai_prices/data.py")))
    return tuple(providers), datetime.fromtimestamp(file.stat().st_mtime, UTC).date()


def price_date(providers: Iterable[Provider], latest: date) -> date:
    """The day of the newest price change in the data that is not after `latest`, else `latest`.

    The package tells no release date, so this is the last day for which it is known to know the prices.
    """
    from genai_prices.types import StartDateConstraint

    listed = (model.prices for provider in providers for model in provider.models if isinstance(model.prices, list))
    constraints = (price.constraint for prices in listed for price in prices)
    days = (constraint.start_date for constraint in constraints if isinstance(constraint, StartDateConstraint))
    return max((day for day in days if day <= latest), default=latest)


def genai_id_of(config: ProviderConfig, providers: Iterable[Provider] | None = None) -> str | None:
    """genai-prices' id of a provider: the same name, else the one whose addresses `base_url` is one of, else None."""
    known = list(bundled()[0] if providers is None else providers)
    if any(provider.id == config.name for provider in known):
        return config.name
    address = config.base_url or ""
    return next((provider.id for provider in known if re.match(provider.api_pattern, address)), None)


def read_limits(path: Path) -> Limits:
    """LiteLLM's model map, model_prices_and_context_window.json; raises ConfigurationError for anything else."""
    content = read_json(path)
    if not isinstance(content, dict) or not any(
        isinstance(entry, dict) and "litellm_provider" in entry for entry in content.values()
    ):
        raise ConfigurationError(
            f"{path}: is not LiteLLM's model map",
            hint="It is the file model_prices_and_context_window.json of github.com/BerriAI/litellm.",
            file=str(path),
        )
    return content


# --- from data to entries


def offer_of(info: ModelInfo, name: str, today: date) -> Offer:
    """A model as the data has it, under `name`, with the prices that hold from today on."""
    from genai_prices.types import ConditionalPrice, ModelPrice

    prices = info.prices
    versions = [ConditionalPrice(prices=prices)] if isinstance(prices, ModelPrice) else _from_now_on(prices, today)
    unknown = sorted({key for version in versions for key in _priced(version.prices) if key not in RATES})
    if tokens := [key for key in unknown if key.endswith("_mtok")]:
        # These tokens stand inside the counts that we bill, at another price.
        return Offer(None, (f"bills some tokens apart: {', '.join(tokens)}",))
    notes = dict.fromkeys(f"no field for {key}" for key in unknown)
    read = [{**_span(version), **_expressed(version.prices, notes)} for version in versions]
    base = {key: value for key, value in read[0].items() if key in PRICE_FIELDS} if read else {}
    timed = [TimedPrices.model_validate(fields) for fields in read[1:]]
    entry = ModelEntry.model_validate({"name": name, **base, "timed_prices": timed})
    if entry.cost_input is None and entry.cost_output is None:
        others = f", only {', '.join(unknown)}" if unknown else ""
        return Offer(None, (f"no price per token{others}",))
    return Offer(entry, tuple(notes))


def _from_now_on(versions: Sequence[ConditionalPrice], today: date) -> Sequence[ConditionalPrice]:
    """The last of them that holds all day today, or the first where none does, and those after it."""
    from genai_prices.types import StartDateConstraint

    begun = [
        place
        for place, version in enumerate(versions)
        if version.constraint is None
        or (isinstance(version.constraint, StartDateConstraint) and version.constraint.start_date <= today)
    ]
    return versions[begun[-1] :] if begun else versions


def _priced(prices: ModelPrice) -> dict[str, Decimal | TieredPrices]:
    return {key: value for key, value in vars(prices).items() if value is not None}


def _expressed(prices: ModelPrice, notes: dict[str, Any]) -> dict[str, Any]:
    """Costs and tiers of one set of prices; a price that is too fine to be written down is noted instead."""
    steps: dict[str, dict[int, Decimal]] = {}
    for key, value in _priced(prices).items():
        if key not in RATES:
            continue
        by_start = _steps(value, Decimal(1000) if key == "requests_kcount" else Decimal(1))
        if any(_too_fine(price) for price in by_start.values()):
            notes[f"{key} has more than {DECIMALS} decimals"] = None
        else:
            steps[RATES[key]] = by_start
    base = {field: by_start[0] for field, by_start in steps.items()}
    starts = sorted({start for by_start in steps.values() for start in by_start if start > 0})
    tiers = [
        PriceTier.model_validate({"above": start, **{f: _step(s, start) for f, s in steps.items() if len(s) > 1}})
        for start in starts
    ]
    return {**base, "tiers": tiers}


def _steps(value: Decimal | TieredPrices, per: Decimal) -> dict[int, Decimal]:
    """Prices by the count of input tokens above which they hold."""
    if isinstance(value, Decimal):
        return {0: value / per}
    return {0: value.base / per} | {tier.start: tier.price / per for tier in value.tiers}


def _step(by_start: Mapping[int, Decimal], start: int) -> Decimal:
    return by_start[max(known for known in by_start if known <= start)]


def _too_fine(price: Decimal) -> bool:
    return price != round(price, DECIMALS)


def _span(price: ConditionalPrice) -> dict[str, Any]:
    from genai_prices.types import StartDateConstraint

    constraint = price.constraint
    if constraint is None:
        return {}
    if isinstance(constraint, StartDateConstraint):
        return {"valid_from": constraint.start_date}
    return {"from_utc": _utc(constraint.start_time), "until_utc": _utc(constraint.end_time)}


def _utc(moment: time) -> time:
    if moment.tzinfo is None:
        return moment
    return datetime.combine(date(2000, 1, 2), moment).astimezone(UTC).time()


def folded(entry: ModelEntry, today: date) -> ModelEntry:
    """The same prices without those of the past: what holds all day today is the base, and what follows stays timed."""
    begun = [
        place
        for place, timed in enumerate(entry.timed_prices)
        if timed.from_utc is None and (timed.valid_from is None or timed.valid_from <= today)
    ]
    if not begun:
        return entry
    base = entry.timed_prices[begun[-1]]
    update: dict[str, Any] = {field: getattr(base, field) for field in (*COSTS, "tiers")}
    return entry.model_copy(update={**update, "timed_prices": entry.timed_prices[begun[-1] + 1 :]})


def _limits_of(limits: Limits | None, genai_id: str, entry: ModelEntry) -> dict[str, Any]:
    """Limits and capabilities of a model in LiteLLM's map; capabilities that the map has no word for stay."""
    owner = LITELLM_NAMES.get(genai_id, genai_id)
    named = ((limits or {}).get(key) for key in (f"{owner}/{entry.name}", entry.name))
    listed = next((row for row in named if isinstance(row, dict) and row.get("litellm_provider") == owner), None)
    if listed is None:
        return {}
    own = [word for word in entry.capabilities if word not in CAPABILITIES.values()]
    words = [word for flag, word in CAPABILITIES.items() if listed.get(flag) is True]
    counts = {field: listed.get(field) for field in LIMIT_FIELDS[:2]}
    known = {field: count for field, count in counts.items() if type(count) is int and count > 0}
    return {**known, "capabilities": (*words, *own)}


# --- the plan


def plan_sync(
    config: ProviderConfig,
    genai_id: str,
    today: date,
    limits: Limits | None = None,
    *,
    providers: Sequence[Provider] | None = None,
) -> SyncPlan:
    """What a sync with genai-prices' provider `genai_id` would do to the models of `config`; nothing is written.

    Prices are those of `today` and later. Raises ConfigurationError for an id that the data does not have.
    """
    known, latest = bundled() if providers is None else (tuple(providers), today)
    provider = _provider(genai_id, known)
    priced_on = price_date(known, min(today, latest))
    changed, gone, left_out, seen = [], [], [], set()
    for entry in config.llm_models:
        info = provider.find_model(entry.name, all_providers=list(known))
        seen.add(id(info))
        if info is None:
            gone.append(entry.name)
            continue
        offer = offer_of(info, entry.name, today)
        left_out += [(entry.name, note) for note in offer.notes]
        change = _change(entry, offer.entry, priced_on, today, _limits_of(limits, genai_id, entry))
        changed += [change] if change.fields else []
    offers = [(info.id, offer_of(info, info.id, today)) for info in provider.models if id(info) not in seen]
    left_out += [(name, note) for name, offer in offers for note in offer.notes]
    added = tuple(
        offer.entry.model_copy(update={"priced_on": priced_on, **_limits_of(limits, genai_id, offer.entry)})
        for _, offer in offers
        if offer.entry
    )
    return SyncPlan(config.name, priced_on, added, tuple(changed), tuple(gone), tuple(left_out))


def _provider(genai_id: str, providers: Sequence[Provider]) -> Provider:
    found = next((provider for provider in providers if provider.id == genai_id), None)
    if found is None:
        known = suggestion(genai_id, [provider.id for provider in providers])
        raise ConfigurationError(f'genai-prices has no provider "{genai_id}"', hint=known)
    return found


def _change(
    entry: ModelEntry, offered: ModelEntry | None, priced_on: date, today: date, limits: Mapping[str, Any]
) -> ModelChange:
    update: dict[str, Any] = dict(limits)
    if offered is not None:
        update |= {"priced_on": priced_on, **{field: getattr(offered, field) for field in PRICE_FIELDS}}
    now, old, new = (entry_json(one) for one in (folded(entry, today), entry, entry.model_copy(update=update)))
    same: set[str] = set()
    if all(now.get(field) == new.get(field) for field in PRICE_FIELDS):
        confirmed = entry.priced_on is not None and entry.priced_on >= priced_on
        same = {*PRICE_FIELDS, "priced_on"} if confirmed else set(PRICE_FIELDS)
    differing = [field for field in ORDER if field in update and field not in same and old.get(field) != new.get(field)]
    return ModelChange(entry.name, tuple(FieldChange(field, old.get(field), new.get(field)) for field in differing))


# --- writing it down


def apply(plan: SyncPlan, catalogue: Mapping[str, Any], *, prune: bool = False) -> dict[str, Any]:
    """The content of a provider's config.json after the plan; what the plan does not name stays as it is."""
    changes = {change.name: change for change in plan.changed}
    listed = [row for row in catalogue.get("llm_models", ()) if not (prune and row["name"] in plan.gone)]
    rows = [_changed(row, changes[row["name"]]) if row["name"] in changes else row for row in listed]
    return {**catalogue, "llm_models": rows + [entry_json(entry) for entry in plan.added]}


def _changed(row: Mapping[str, Any], change: ModelChange) -> dict[str, Any]:
    named = {field.field: field.new for field in change.fields}
    return _ordered({key: value for key, value in {**row, **named}.items() if key not in named or value is not None})


def apply_to_workspace(plan: SyncPlan, settings: Mapping[str, Any], *, prune: bool = False) -> dict[str, Any]:
    """The content of a workspace's config.json after the plan, which is laid over the provider's own file there."""
    providers = dict(settings.get("providers", {}))
    override = dict(providers.get(plan.provider, {}))
    rows = {row["name"]: row for row in override.get("llm_models", ())}
    for change in plan.changed:
        # What is taken away is said here: an absent field would leave the provider's own file its value.
        named = {
            field.field: [] if field.new is None and field.field in LISTS else field.new for field in change.fields
        }
        rows[change.name] = _ordered({**rows.get(change.name, {"name": change.name}), **named})
    kept = [row for name, row in rows.items() if not (prune and name in plan.gone)]
    override["llm_models"] = kept + [entry_json(entry) for entry in plan.added]
    return {**settings, "providers": {**providers, plan.provider: override}}


def entry_json(entry: ModelEntry) -> dict[str, Any]:
    """A model as a config.json holds it, without what is at its default; prices are Decimals."""
    row: dict[str, Any] = _plain(entry.model_dump(exclude_defaults=True))
    return row


def _ordered(row: Mapping[str, Any]) -> dict[str, Any]:
    return {key: row[key] for key in (*ORDER, *(key for key in row if key not in ORDER)) if key in row}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return _ordered({key: _plain(inner) for key, inner in value.items()})
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, Decimal):
        return Decimal(usd_text(value))
    if isinstance(value, time):
        return value.isoformat("seconds" if value.second else "minutes")
    return value.isoformat() if isinstance(value, date) else value


def read_exact(path: Path) -> dict[str, Any]:
    """The JSON object in a file, its numbers as they are written."""
    read_json(path)
    content: dict[str, Any] = json.loads(read_text(path), parse_float=Decimal)
    return content
