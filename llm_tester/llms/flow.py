"""The one place where sync and async part: a flow is a generator that yields effects, a driver carries them out."""

from __future__ import annotations

import asyncio
import inspect
import queue
import threading
import time
from collections.abc import Awaitable, Callable, Generator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from llm_tester.errors import ProviderError, ProviderTimeoutError
from llm_tester.llms.handover import Handover

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Send:
    """Put a wire request on the network; the answer is the transport's reply, or the ProviderError that it met."""

    request: Any
    timeout: float


@dataclass(frozen=True, slots=True)
class Open:
    """As Send, but the body stays open to be read in pieces; the answer is the transport's open reply, or the error."""

    request: Any
    timeout: float


@dataclass(frozen=True, slots=True)
class Read:
    """The next piece of an open stream's body; the answer is bytes, empty at the end."""

    stream: Any
    timeout: float


@dataclass(frozen=True, slots=True)
class Emit:
    """Hand pieces of the answer's text to whoever iterates (see streams.py); who only waits for the end skips it."""

    pieces: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Wait:
    """Let `seconds` pass."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Acquire:
    """Wait for one of a limiter's slots; the answer is what it gives, and who acquired it gives it back."""

    slot: Slot


@dataclass(frozen=True, slots=True)
class Call:
    """Run a provider's own code for at most `timeout` seconds; the answer is what it returns, or the error it met.

    A coroutine function runs on the event loop; other code that may block runs on a daemon thread.
    """

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    timeout: float
    blocking: bool = True


@dataclass(frozen=True, slots=True)
class Do:
    """Start something that is durable or shared, a claim or a cache entry, and wait for its future where it has one.

    A wait that is cancelled does not take back what was started.
    """

    start: Callable[[], Future[Any] | None]


Network = Send | Open | Read
Effect = Network | Emit | Wait | Acquire | Call | Do
Flow = Generator[Effect, Any, T]


class Slot(Protocol):
    """A shared limit: both ways of waiting for it."""

    def acquire(self) -> Any:
        """Wait in this thread."""

    async def aacquire(self) -> Any:
        """Wait on the event loop."""


class Transport(Protocol):
    """The network, both ways; see Send, Open and Read."""

    def send(self, effect: Network) -> Any:
        """Carry the effect out in this thread."""

    async def asend(self, effect: Network) -> Any:
        """Carry the effect out on the event loop."""


def drive(flow: Flow[T], session: Session) -> T:
    """Run `flow` to its end in this thread and return what it returns; an exception is thrown into it first."""
    try:
        effect = next(flow)
        while True:
            try:
                answer = session.perform(effect)
            except BaseException as error:  # noqa: BLE001 - the flow decides, and settles what it holds
                effect = flow.throw(error)
            else:
                effect = flow.send(answer)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]


async def adrive(flow: Flow[T], session: Session) -> T:
    """Run `flow` to its end on the event loop; as `drive` in everything else."""
    try:
        effect = next(flow)
        while True:
            try:
                answer = await session.aperform(effect)
            except BaseException as error:  # noqa: BLE001 - the flow decides, and settles what it holds
                effect = flow.throw(error)
            else:
                effect = flow.send(answer)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]


class Session:
    """What effects are carried out with: the network, the clock and the threads for blocking code."""

    def __init__(
        self,
        transport: Transport | None = None,
        *,
        threads: int = 8,
        sleep: Callable[[float], None] = time.sleep,
        asleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._transport = transport
        self._pool = DaemonPool(threads)
        self._handover = Handover()
        self._sleep = sleep
        self._asleep = asleep

    @property
    def transport(self) -> Transport:
        """The network; a flow that sends without one is a mistake in this package."""
        if self._transport is None:
            raise RuntimeError("this session has no transport")
        return self._transport

    def perform(self, effect: Effect) -> Any:
        """The answer to one effect, waiting in this thread."""
        match effect:
            case Wait(seconds):
                return self._sleep(seconds)
            case Call():
                return self._call(effect)
            case Do(start):
                future = start()
                return None if future is None else future.result()
            case Acquire(slot):
                return slot.acquire()
            case Emit():
                return None
            case Send() | Open() | Read():
                return self.transport.send(effect)

    async def aperform(self, effect: Effect) -> Any:
        """The answer to one effect, waiting on the event loop."""
        match effect:
            case Send() | Open() | Read():
                return await self.transport.asend(effect)
            case Do():
                future = effect.start()
                return None if future is None else await self._handover.wait(future)
            case Acquire():
                return await effect.slot.aacquire()
            case Emit():
                return None
            case Wait():
                return await self._asleep(effect.seconds)
            case Call():
                return await self._acall(effect)

    def _call(self, effect: Call) -> Any:
        if not effect.blocking and not inspect.iscoroutinefunction(effect.function):
            return _answer_of(effect.function, *effect.arguments)
        job = self._pool.submit(_answer_on_thread, effect.function, *effect.arguments)
        try:
            return job.result(effect.timeout)
        except FutureTimeoutError:
            return _timed_out(effect)
        finally:
            self._pool.abandon(job)

    async def _acall(self, effect: Call) -> Any:
        if inspect.iscoroutinefunction(effect.function):
            return await _in_time(_aanswer_of(effect.function, *effect.arguments), effect)
        if not effect.blocking:
            return _answer_of(effect.function, *effect.arguments)
        job = self._pool.submit(_answer_on_thread, effect.function, *effect.arguments)
        try:
            return await _in_time(asyncio.wrap_future(job), effect)
        finally:
            self._pool.abandon(job)


class DaemonPool:
    """At most `size` daemon threads for code that may block for good: unlike the standard pool's, they never keep the
    process from ending."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._jobs: queue.SimpleQueue[tuple[Future[Any], Callable[..., Any], tuple[Any, ...]]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._threads = 0
        self._open = 0
        self._abandoned: set[Future[Any]] = set()

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Run `function` on one of the threads."""
        future: Future[Any] = Future()
        self._jobs.put((future, function, arguments))
        with self._lock:
            self._open += 1
            self._grow()
        return future

    def abandon(self, future: Future[Any]) -> None:
        """Nobody waits for `future` any more: it is dropped where it has not begun, and a thread that still runs it
        leaves its place to another one, so that code that hangs does not keep later calls from being made."""
        with self._lock:
            if future.cancel() or future.done():
                return
            self._abandoned.add(future)
            self._open -= 1
            self._threads -= 1
            self._grow()

    def _grow(self) -> None:
        if self._open > self._threads and self._threads < self._size:
            self._threads += 1
            threading.Thread(target=self._work, name="llm_tester call", daemon=True).start()

    def _work(self) -> None:
        while True:
            future, function, arguments = self._jobs.get()
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(function(*arguments))
                except BaseException as error:  # noqa: BLE001 - the waiting side gets it
                    future.set_exception(error)
            # A thread that waits for its next job must not keep what the last one held.
            del function, arguments
            with self._lock:
                if future in self._abandoned:
                    self._abandoned.discard(future)
                    return
                self._open -= 1


def _answer_of(function: Callable[..., Any], *arguments: Any) -> Any:
    """What provider code returns, or the exception that it raises: a failure is an answer to the flow."""
    try:
        return function(*arguments)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the flow turns it into a ProviderError
        return error


async def _aanswer_of(function: Callable[..., Awaitable[Any]], *arguments: Any) -> Any:
    try:
        return await function(*arguments)
    except asyncio.CancelledError:
        raise
    except BaseException as error:  # noqa: BLE001 - as _answer_of; raised, it would end the loop
        return error


def _answer_on_thread(function: Callable[..., Any], *arguments: Any) -> Any:
    """As _answer_of, on a thread that nobody else can interrupt; a coroutine runs on a loop of its own."""
    try:
        answer = function(*arguments)
        return asyncio.run(answer) if inspect.iscoroutine(answer) else answer
    except BaseException as error:  # noqa: BLE001 - as _answer_of
        return error


async def _in_time(running: Awaitable[Any], effect: Call) -> Any:
    """The answer within the deadline; a cancellation that the provider's own code raises is a failure, not ours."""
    task = asyncio.ensure_future(running)
    try:
        done, _ = await asyncio.wait({task}, timeout=effect.timeout)
    finally:
        task.cancel()
    if not done:
        return _timed_out(effect)
    return ProviderError("the provider's code raised asyncio.CancelledError") if task.cancelled() else task.result()


def _timed_out(effect: Call) -> ProviderError:
    return ProviderTimeoutError(f"no answer within {effect.timeout:g} s")
