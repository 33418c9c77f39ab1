"""The ledger's rows as objects: runs, tasks, entrants, places of the plan, calls of unknown fate."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from llm_tester.cost_manager import Rates, from_picodollars, rates_from_json
from llm_tester.evals.entrants import Entrant
from llm_tester.evals.ownership import is_alive
from llm_tester.records import Attempt, Message


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A run's line in the ledger; `status` is running, complete, incomplete or stopped."""

    key: int
    id: str
    name: str | None
    project: str
    status: str
    seed: int
    epochs: int
    settings: Mapping[str, Any]
    created_at: float
    ended_at: float | None
    owner: str | None
    lease_until: float | None

    @property
    def is_alive(self) -> bool:
        """Whether a process works on it now."""
        return self.status == "running" and is_alive(self.owner, self.lease_until)

    @property
    def state(self) -> str:
        """The status, where a run whose process died is stopped."""
        return "stopped" if self.status == "running" and not self.is_alive else self.status


@dataclass(frozen=True, slots=True)
class TaskRecord:
    """A task as a run froze it."""

    key: int
    name: str
    folder: Path
    hash: str
    samples_hash: str
    total: int
    planned: int
    spec: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class LinkRecord:
    """One model of a chain as a run froze it, with the rates that it is priced at."""

    provider: str
    model: str
    rates: Rates
    price: int = 0

    @property
    def name(self) -> str:
        """provider:model."""
        return f"{self.provider}:{self.model}"


@dataclass(frozen=True, slots=True)
class EntrantRecord:
    """An entrant as a run froze it, with the rates that it is priced at, those of its `links` where it is a chain."""

    key: int
    entrant: Entrant
    simulated: bool
    host: str
    price: int
    rates: Rates
    links: tuple[LinkRecord, ...] = ()

    @property
    def link_rates(self) -> list[Rates]:
        """The rates of each model that may serve it, in their order."""
        return [link.rates for link in self.links] or [self.rates]

    @property
    def is_priced(self) -> bool:
        """Whether each model that may serve it has a price."""
        return all(rates.known for rates in self.link_rates)

    def price_of(self, attempt: Attempt) -> int:
        """The key of the rates of who made an attempt."""
        made = (link.price for link in self.links if (link.provider, link.model) == (attempt.provider, attempt.model))
        return next(made, self.price)


@dataclass(frozen=True, slots=True)
class PlannedEntrant:
    """What a run is to write of an entrant."""

    entrant: Entrant
    simulated: bool
    host: str
    rates: Rates
    links: tuple[LinkRecord, ...] = ()

    @property
    def link_rates(self) -> list[Rates]:
        """The rates of each model that may serve it, in their order."""
        return [link.rates for link in self.links] or [self.rates]


@dataclass(frozen=True, slots=True)
class Place:
    """One planned sample for one entrant in one epoch, and what the ledger knows of it: the state and number of its
    last call."""

    position: int
    epoch: int
    task: int
    sample_id: str
    sample_hash: str
    messages: tuple[Message, ...]
    target: Any
    source: str
    files: tuple[str, ...]
    metadata: Mapping[str, Any]
    entrant: int
    state: str | None
    call: int | None
    attempt_group: int
    scored: bool


@dataclass(frozen=True, slots=True)
class UnknownCall:
    """A call that was claimed and whose fate nobody knows; it can have cost `at_most` USD (None: unbounded)."""

    entrant: str
    task: str
    sample_id: str
    call_id: str
    at_most: Decimal | None


def run_record(row: sqlite3.Row) -> RunRecord:
    """A row of `runs`."""
    return RunRecord(
        row["run"],
        row["id"],
        row["name"],
        row["project"],
        row["status"],
        row["seed"],
        row["epochs"],
        json.loads(row["settings"]),
        row["created_at"],
        row["ended_at"],
        row["owner"],
        row["lease_until"],
    )


def link_record(row: sqlite3.Row) -> LinkRecord:
    """A row of `links` with its price."""
    rates = rates_from_json(json.loads(row["rates"]), row["source"], row["priced_on"])
    return LinkRecord(row["provider"], row["model"], rates, row["price"])


def entrant_record(row: sqlite3.Row, links: tuple[LinkRecord, ...] = ()) -> EntrantRecord:
    """A row of `entrants` with its price."""
    rates = rates_from_json(json.loads(row["rates"]), row["source"], row["priced_on"])
    entrant = Entrant(row["name"], row["provider"], row["model"], json.loads(row["parameters"]), row["variant"])
    entrant = replace(entrant, chain=tuple(link.name for link in links))
    return EntrantRecord(row["entrant"], entrant, bool(row["simulated"]), row["host"], row["price"], rates, links)


def unknown_call(row: sqlite3.Row) -> UnknownCall:
    """A claimed call with the names of its place."""
    at_most = None if row["at_most"] is None else from_picodollars(row["at_most"])
    return UnknownCall(row["entrant"], row["task"], row["sample_id"], row["call_id"], at_most)


def places_of(
    row: sqlite3.Row, entrant: int, epochs: int, made: Mapping[tuple[int, int], sqlite3.Row]
) -> Iterator[Place]:
    """A planned sample for one entrant in each epoch, with the last call of `made`, by position and epoch."""
    position, task, sample_id, sample_hash = row["position"], row["task"], row["sample_id"], row["hash"]
    messages = tuple([Message(role, content) for role, content in json.loads(row["messages"])])
    source = messages[-1].content if row["source"] is None else row["source"]
    files = tuple(json.loads(row["files"])) if row["files"] else ()
    for epoch in range(1, epochs + 1):
        # Each has its own, as a scorer may change what it is given.
        target, metadata = json.loads(row["target"]), json.loads(row["metadata"]) if row["metadata"] else {}
        asked = (task, sample_id, sample_hash, messages, target, source, files, metadata, entrant)
        last = made.get((position, epoch))
        if last is None:
            yield Place(position, epoch, *asked, None, None, 0, scored=False)
        else:
            called = (last["state"], last["call"], last["attempt_group"])
            yield Place(position, epoch, *asked, *called, scored=bool(last["scored"]))
