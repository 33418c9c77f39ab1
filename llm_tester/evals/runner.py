"""Runs a frozen plan: claims before sends, answers before scores, each entrant a lane of bounded workers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from llm_tester.errors import BudgetExceededError, ProviderError
from llm_tester.evals.ledger import Ledger
from llm_tester.evals.ownership import LEASE_SECONDS
from llm_tester.evals.run_records import EntrantRecord, Place, RunRecord
from llm_tester.evals.samples import Answer, Outcome, Sample
from llm_tester.evals.stats import Moments
from llm_tester.evals.tasks import Task
from llm_tester.llms.bounds import worst_case
from llm_tester.llms.provider_manager import ProviderManager
from llm_tester.records import Attempt, FinishReason, Request, Response, make_call_id

CHUNK = 64


@dataclass
class LaneProgress:
    """What one entrant has done so far."""

    entrant: EntrantRecord
    total: int
    done: int = 0
    errors: int = 0
    in_flight: int = 0
    cost: Decimal = Decimal(0)
    cost_unknown: int = 0
    moments: Moments = field(default_factory=Moments)
    sent: int = 0

    def count(self, outcome: Outcome, value: float, cost: Decimal | None) -> None:
        """One more sample is done; `cost` is None where it is unknown."""
        self.done += 1
        if outcome.counts:
            self.moments.add(value)
        else:
            self.errors += 1
        if cost is None:
            self.cost_unknown += 1
        else:
            self.cost += cost


class CallJournal:
    """One call's steps in the ledger."""

    def __init__(
        self,
        ledger: Ledger,
        run: RunRecord,
        place: Place,
        entrant: EntrantRecord,
        request: Request,
        at_most: Decimal | None,
    ) -> None:
        self._ledger, self._run, self._place, self._entrant = ledger, run, place, entrant
        self._request, self._at_most = request, at_most
        self.call = 0

    def claim(self) -> Future[Any]:
        """Durable before anything is sent."""
        group = self._place.attempt_group + 1
        claimed = self._ledger.claim(self._run, self._place, self._request.call_id, group, self._at_most)
        claimed.add_done_callback(self._keep_key)
        return claimed

    def _keep_key(self, claimed: Future[int]) -> None:
        if claimed.exception() is None:
            self.call = claimed.result()

    def answered(self, response: Response) -> Future[Any]:
        """Durable before anything is scored."""
        return self._ledger.answered(self.call, response, self._entrant.price)

    def failed(self, error: ProviderError) -> Future[Any]:
        """After the last attempt."""
        return self._ledger.failed(self.call, error, self._entrant.price)

    def deferred(self, attempts: tuple[Attempt, ...]) -> Future[Any]:
        """Between two attempts, when the run stops."""
        return self._ledger.deferred(self.call, attempts, self._entrant.price)


class Runner:
    """Works through what a run has left to do. `stop` lets calls in flight end; asked again, it leaves them."""

    def __init__(
        self,
        ledger: Ledger,
        run: RunRecord,
        manager: ProviderManager,
        tasks: Mapping[int, Task],
        entrants: Sequence[EntrantRecord],
        totals: Mapping[int, int],
    ) -> None:
        self._ledger, self._run, self._manager, self._tasks = ledger, run, manager, tasks
        self.lanes = {entrant.key: LaneProgress(entrant, totals[entrant.key]) for entrant in entrants}
        self._sizes = {lane.entrant.key: self._size(lane) for lane in self.lanes.values()}
        self._queues: dict[int, asyncio.Queue[Place | None]] = {}
        self._unscored: BaseException | None = None
        self._stopping = False
        self._group: asyncio.Task[None] | None = None
        self.started = time.monotonic()

    @property
    def stopping(self) -> bool:
        """Whether it was asked to stop."""
        return self._stopping

    def stop(self) -> None:
        """Send nothing more; asked again, leave what is in flight too."""
        if self._stopping and self._group is not None:
            self._group.cancel()
        self._stopping = True

    async def work(self) -> bool:
        """Do what is left; True when nothing is left undone."""
        self.started = time.monotonic()
        self._group = asyncio.create_task(self._work())
        try:
            await self._group
        except asyncio.CancelledError:
            if not self._stopping:
                raise
            return False
        except BaseExceptionGroup as failures:
            raise _first(failures) from None
        # The writer works in order: with this on disk, every score before it is, or has failed.
        await asyncio.wrap_future(self._ledger.renew_lease(self._run))
        if self._unscored is not None:
            raise self._unscored
        return all(lane.done == lane.total for lane in self.lanes.values())

    def _size(self, lane: LaneProgress) -> int:
        return self._manager.slots(self._manager.provider(lane.entrant.entrant.provider)).size

    async def _work(self) -> None:
        heartbeat = asyncio.create_task(self._heartbeat())
        try:
            async with asyncio.TaskGroup() as group:
                for key, lane in self.lanes.items():
                    self._queues[key] = asyncio.Queue(2 * self._sizes[key])
                    for _ in range(self._sizes[key]):
                        group.create_task(self._worker(lane, self._queues[key]))
                group.create_task(self._dispatch())
        finally:
            heartbeat.cancel()

    async def _heartbeat(self) -> None:
        while True:
            await asyncio.sleep(LEASE_SECONDS / 3)
            self._ledger.renew_lease(self._run)

    async def _dispatch(self) -> None:
        """Hand the plan out in its order, to every lane in turn; a full lane holds back the others a little."""
        position = -1
        while not self._stopping:
            places = self._ledger.places(self._run, position, CHUNK)
            if not places:
                break
            for place in places:
                if place.state != "failed" and not place.scored:
                    await self._queues[place.entrant].put(place)
            position += CHUNK
        for key, lane_queue in self._queues.items():
            for _ in range(self._sizes[key]):
                await lane_queue.put(None)

    async def _worker(self, lane: LaneProgress, places: asyncio.Queue[Place | None]) -> None:
        while (place := await places.get()) is not None:
            if not self._stopping:
                await self._do(lane, place)

    async def _do(self, lane: LaneProgress, place: Place) -> None:
        if place.state == "answered" and place.call is not None:
            text, finish = self._ledger.answer_text(place.call)
            await self._score(lane, place, place.call, text, finish, None)
            return
        rates = lane.entrant.rates
        request = self._manager.bounded(self._request(lane.entrant, place))
        at_most = worst_case(self._manager.provider(request.provider), request, rates)
        journal = CallJournal(self._ledger, self._run, place, lane.entrant, request, at_most)
        lane.in_flight += 1
        lane.sent += 1
        try:
            # At the prices that the run froze: a catalogue may change before a run is resumed.
            response = await self._manager.arespond(request, journal, rates)
        except BudgetExceededError:
            # The manager's budget knows what was short; what is in flight may end.
            self._stopping = True
            return
        except ProviderError as error:
            lane.count(Outcome.ERROR, 0.0, _cost_of_failures(error.attempts))
            return
        finally:
            lane.in_flight -= 1
        await self._score(lane, place, journal.call, response.text, response.finish_reason, response)

    def _request(self, entrant: EntrantRecord, place: Place) -> Request:
        task = self._tasks[place.task]
        call_id = make_call_id(
            run=self._run.id,
            # Two tasks of a run may have the same content too; their names differ.
            task=f"{task.hash}/{task.name}",
            entrant=entrant.entrant.hash,
            # Two samples of a task may have the same content; each is asked.
            sample=f"{place.sample_hash}/{place.sample_id}",
            epoch=1,
            purpose="sample",
            attempt_group=place.attempt_group + 1,
        )
        return Request(
            provider=entrant.entrant.provider,
            model=entrant.entrant.model,
            messages=place.messages,
            parameters={**task.config.parameters, **entrant.entrant.parameters},
            output_schema=task.output.json_schema if task.output else None,
            files=place.files,
            tags={"task": task.name, "sample_id": place.sample_id, "epoch": 1},
            purpose="sample",
            call_id=call_id,
            project=self._run.project,
        )

    async def _score(
        self, lane: LaneProgress, place: Place, call: int, text: str, finish: str | None, response: Response | None
    ) -> None:
        """Score a stored answer; its verdict need not be waited for, as it can be made again."""
        task = self._tasks[place.task]
        sample = Sample(place.sample_id, place.source, place.target, files=place.files, metadata=place.metadata)
        reason: FinishReason | None = finish  # type: ignore[assignment]
        score = await task.score(sample, Answer(text, reason))
        self._ledger.scored(call, score).add_done_callback(self._note_unscored)
        cost = response.cost.usd if response is not None else Decimal(0)
        lane.count(score.outcome, score.value, cost)

    def _note_unscored(self, written: Future[Any]) -> None:
        self._unscored = self._unscored or written.exception()


def _cost_of_failures(attempts: Sequence[Attempt]) -> Decimal | None:
    """What the tries of a call without an answer cost; None where one of them cost nobody knows how much."""
    costs = [attempt.cost for attempt in attempts if attempt.cost is not None]
    if any(not cost.complete for cost in costs):
        return None
    return sum((cost.known for cost in costs), Decimal(0))


def _first(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    found = failures.exceptions[0]
    return _first(found) if isinstance(found, BaseExceptionGroup) else found
