"""Runs a frozen plan: claims before sends, answers before scores, each entrant a lane of bounded workers."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import partial

from llm_tester.errors import (
    AllProvidersFailedError,
    AuthenticationError,
    BadRequestError,
    BudgetExceededError,
    ProviderConnectionError,
    ProviderError,
    QuotaExceededError,
)
from llm_tester.evals.call_journal import CallJournal
from llm_tester.evals.feed import Feed, Plan
from llm_tester.evals.halt import Halt
from llm_tester.evals.lanes import LaneProgress
from llm_tester.evals.ledger import Ledger
from llm_tester.evals.ownership import LEASE_SECONDS
from llm_tester.evals.run_records import EntrantRecord, Place, RunRecord
from llm_tester.evals.samples import Answer, Outcome, Sample
from llm_tester.evals.tasks import Task
from llm_tester.evals.verdicts import Verdict, Verdicts
from llm_tester.llms.exchange import Deferred
from llm_tester.llms.handover import Handover
from llm_tester.llms.provider_manager import ProviderManager
from llm_tester.records import Attempt, FinishReason, Purpose, Request, Response, make_call_id

LOOK = 1.0
"""How often the run looks for an outage, in seconds."""
_NO_USE = (AuthenticationError, QuotaExceededError, BadRequestError)


@dataclass(frozen=True, slots=True)
class Course:
    """How a run goes on: the states of calls whose samples are left as they are, whether entrants are tried by one
    call first, and after how many seconds without one good answer of an entrant in trouble it stops."""

    leave: frozenset[str] = frozenset({"failed"})
    canary: bool = False
    max_outage: float = math.inf


@dataclass(frozen=True, slots=True)
class Outage:
    """An entrant brought no answer for so many seconds, and why."""

    entrant: str
    seconds: float
    cause: str = ""


class Runner:
    """Works through what a run has left to do. `stop` lets calls in flight end; asked again, it leaves them."""

    def __init__(
        self,
        ledger: Ledger,
        run: RunRecord,
        manager: ProviderManager,
        tasks: Mapping[int, Task],
        lanes: Sequence[LaneProgress],
        halt: Halt,
        course: Course,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ledger, self._run, self._manager, self._tasks = ledger, run, manager, tasks
        self.lanes = lanes
        self.outage: Outage | None = None
        self._halt, self._course, self._clock = halt, course, clock
        self._handover = Handover()
        # As the run has frozen them: a task may be renamed before it is resumed.
        self._names = {record.key: record.name for record in ledger.tasks(run)}
        self._under_way: list[LaneProgress] = []
        self._plan = Plan(ledger, run, halt, course.leave, self._trouble, clock)
        self._unscored: BaseException | None = None
        self._group: asyncio.Task[None] | None = None
        self.started = clock()

    @property
    def stopping(self) -> bool:
        """Whether it was asked to stop."""
        return self._halt.is_set

    def stop(self) -> None:
        """Send nothing more; asked again, leave what is in flight too."""
        if self.stopping and self._group is not None:
            self._group.cancel()
        self._halt.set()

    async def work(self) -> bool:
        """Do what is left; True when nothing is left undone but by entrants that were dropped."""
        self.started, self._loop = self._clock(), asyncio.get_running_loop()
        self._group = asyncio.create_task(self._work())
        try:
            await self._group
        except asyncio.CancelledError:
            if not self.stopping:
                raise
            return False
        except BaseExceptionGroup as failures:
            raise _first(failures) from None
        # The writer works in order: with this on disk, every score before it is, or has failed.
        await asyncio.wrap_future(self._ledger.renew_lease(self._run))
        if self._unscored is not None:
            raise self._unscored
        return all(lane.done == lane.total or lane.dropped for lane in self.lanes)

    async def _work(self) -> None:
        watches = [asyncio.create_task(watch()) for watch in (self._heartbeat, self._watch_outages)]
        try:
            async with asyncio.TaskGroup() as group:
                for lane in self.lanes:
                    group.create_task(self._run_lane(lane))
        finally:
            for watch in watches:
                watch.cancel()

    async def _heartbeat(self) -> None:
        while True:
            await asyncio.sleep(LEASE_SECONDS / 3)
            self._ledger.renew_lease(self._run)

    async def _watch_outages(self) -> None:
        while not self.stopping:
            await asyncio.sleep(min(LOOK, self._course.max_outage))
            for lane in self._under_way:
                lane.trouble = self._trouble(lane)
                self._stop_after_outage(lane)

    def _stop_after_outage(self, lane: LaneProgress) -> None:
        good_at = self.started if lane.good_at is None else lane.good_at
        silent = self._clock() - good_at
        if silent >= self._course.max_outage and lane.trouble:
            self.outage = self.outage or Outage(lane.entrant.entrant.name, silent, lane.trouble)
            self._halt.set()

    def _trouble(self, lane: LaneProgress) -> str:
        entrant = lane.entrant.entrant
        return self._manager.trouble(entrant.provider, entrant.model)

    async def _run_lane(self, lane: LaneProgress) -> None:
        size = self._manager.slots(self._manager.provider(lane.entrant.entrant.provider)).size
        self._under_way.append(lane)
        try:
            if not await self._passes(lane):
                return
            with self._plan.feed(lane) as feed:
                await self._ask_and_score(lane, feed, size)
        finally:
            self._under_way.remove(lane)
            lane.trouble = ""

    async def _ask_and_score(self, lane: LaneProgress, feed: Feed, size: int) -> None:
        verdicts = Verdicts(size)
        async with asyncio.TaskGroup() as group:
            group.create_task(verdicts.make())
            async with asyncio.TaskGroup() as workers:
                for _ in range(size):
                    workers.create_task(self._worker(lane, feed, verdicts))
            await verdicts.end()

    async def _worker(self, lane: LaneProgress, feed: Feed, verdicts: Verdicts) -> None:
        while (place := await feed.take()) is not None and not self.stopping:
            verdict = await self._do(lane, place)
            if verdict is not None:
                await verdicts.add(verdict)

    async def _passes(self, lane: LaneProgress) -> bool:
        """Try an entrant of which nothing is stored yet by one call; False where its every call would be in vain."""
        entrant = lane.entrant
        if not self._course.canary or entrant.simulated or lane.done > lane.errors:
            return True
        first = next(iter(self._ledger.places(self._run, entrant.key, -1, 1)), None)
        if first is None or self.stopping:
            return True
        made = self._ledger.canaries(self._run, entrant.key)
        request, journal = self._call(lane, replace(first, epoch=0, attempt_group=made), "canary")
        try:
            await self._manager.arespond(request, journal, entrant.link_rates)
            await self._handover.wait(journal.stored)
            lane.good_at = self._clock()
        except (BudgetExceededError, Deferred):
            self._halt.set()
        except ProviderError as error:
            lane.dropped = error if _is_of_no_use(error) else None
        return lane.dropped is None

    async def _do(self, lane: LaneProgress, place: Place) -> Verdict | None:
        """Get the answer, or find it; what is then to be done to score it."""
        at_once = self._tasks[place.task].scores_at_once
        if place.state == "answered" and place.call is not None:
            text, finish = self._ledger.answer_text(place.call)
            return Verdict(partial(self._score, lane, place, place.call, text, finish, None), at_once)
        request, journal = self._call(lane, place, "sample")
        lane.in_flight += 1
        lane.sent += 1
        try:
            # At the prices that the run froze: a catalogue may change before a run is resumed.
            response = await self._manager.arespond(request, journal, lane.entrant.link_rates)
        except BudgetExceededError:
            # The manager's budget knows what was short; what is in flight may end.
            self._halt.set()
            return None
        except Deferred:
            return None
        except ProviderError as error:
            lane.count(Outcome.ERROR, 0.0, _cost_of_failures(error.attempts))
            return None
        finally:
            lane.in_flight -= 1
        lane.good_at = self._clock()
        return Verdict(partial(self._settle, lane, place, journal, response), at_once)

    async def _settle(self, lane: LaneProgress, place: Place, journal: CallJournal, response: Response) -> None:
        await self._handover.wait(journal.stored)
        await self._score(lane, place, journal.call, response.text, response.finish_reason, response)

    def _call(self, lane: LaneProgress, place: Place, purpose: Purpose) -> tuple[Request, CallJournal]:
        entrant = lane.entrant
        request = self._manager.bounded(self._request(entrant, place, purpose))
        at_most = self._manager.at_most(request, entrant.link_rates)
        task = self._names[place.task]
        return request, CallJournal(self._ledger, self._run, place, entrant, request, at_most, task)

    def _request(self, entrant: EntrantRecord, place: Place, purpose: Purpose) -> Request:
        task = self._tasks[place.task]
        call_id = make_call_id(
            run=self._run.id,
            # Two tasks of a run may have the same content too; their names differ.
            task=f"{task.hash}/{task.name}",
            entrant=entrant.entrant.hash,
            # Two samples of a task may have the same content; each is asked.
            sample=f"{place.sample_hash}/{place.sample_id}",
            epoch=place.epoch,
            purpose=purpose,
            attempt_group=place.attempt_group + 1,
        )
        return Request(
            provider=entrant.entrant.provider,
            model=entrant.entrant.model,
            messages=place.messages,
            parameters={**task.config.parameters, **entrant.entrant.parameters},
            output_schema=task.output.json_schema if task.output else None,
            files=place.files,
            tags={"task": task.name, "sample_id": place.sample_id, "epoch": place.epoch},
            purpose=purpose,
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
        bought = response is not None and not response.cached
        cost = response.cost.usd if response is not None and bought else Decimal(0)
        lane.count(score.outcome, score.value, cost)

    def _note_unscored(self, written: Future[None]) -> None:
        """A verdict can be made again, but a ledger that does not take it may not take the next answer either."""
        if self._unscored is None and (error := written.exception()) is not None:
            self._unscored = error
            # A loop that is closed has nothing more to send.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._halt.set)


def _is_of_no_use(error: ProviderError) -> bool:
    """Whether every call would fail so, of a chain those to all of its models: another text may pass where one was too
    long or was filtered."""
    failures = error.failures if isinstance(error, AllProvidersFailedError) else (error,)
    return all(type(failure) in _NO_USE or _is_unreachable(failure) for failure in failures)


def _is_unreachable(error: ProviderError) -> bool:
    return isinstance(error, ProviderConnectionError) and not error.sent


def _cost_of_failures(attempts: Sequence[Attempt]) -> Decimal | None:
    """What the tries of a call without an answer cost; None where one of them cost nobody knows how much."""
    costs = [attempt.cost for attempt in attempts if attempt.cost is not None]
    if any(not cost.complete for cost in costs):
        return None
    return sum((cost.known for cost in costs), Decimal(0))


def _first(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    found = failures.exceptions[0]
    return _first(found) if isinstance(found, BaseExceptionGroup) else found
