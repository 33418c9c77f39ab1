"""An event loop whose time passes at once, and a provider in this process that allows so many calls per second."""

from __future__ import annotations

import asyncio
import math
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from llm_tester import BaseLLM, ModelConfig, ProviderConfig, ProviderManager, ProviderRegistry, UsageData
from llm_tester.config import Workspace
from llm_tester.errors import ProviderError, RateLimitError
from llm_tester.testing.traffic import Rate, TokenBucket

T = TypeVar("T")


class _Skipping(selectors.DefaultSelector):
    """Where there is nothing to do before a moment, that moment is now."""

    skipped = 0.0

    def select(self, timeout: float | None = None) -> Any:
        if timeout is None:
            raise RuntimeError("all tasks wait for something that never comes")
        ready = super().select(0)
        if not ready:
            self.skipped += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """Its clock stands still but for the waits, which take no time."""

    def __init__(self) -> None:
        self._skipping = _Skipping()
        super().__init__(self._skipping)

    def time(self) -> float:
        return 1000.0 + self._skipping.skipped


def in_virtual_time(main: Callable[[Callable[[], float]], Coroutine[Any, Any, T]]) -> T:
    """What `main`, which is given the clock, comes to."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        loop = runner.get_loop()
        return runner.run(main(loop.time))


class Patient:
    """Satisfies guard.Patience: waits for as long as it takes."""

    def check(self) -> None:
        return

    async def asleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def never(wait: float) -> None:
    """A refusal that does not say when to come back."""


def in_whole_seconds(wait: float) -> float:
    """A refusal that says it as most providers do."""
    return float(math.ceil(wait))


class Acme(BaseLLM):
    """Allows `per_second` calls as a bucket does, each of `latency` seconds; `failure` is raised in place of answers.

    Those of one second, or `burst`, may pass at once. `says_when` makes of the seconds until the next one may pass what
    a refusal says. `sent` has each attempt's time and whether it was let through, from the first one on.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        *,
        latency: float = 0.05,
        burst: int = 0,
        says_when: Callable[[float], float | None] = float,
        **config: Any,
    ):
        listed = {"name": "acme", "llm_models": [{"name": "m"}], "max_connections": 100, **config}
        super().__init__(ProviderConfig.model_validate(listed))
        self.clock, self.latency, self.burst, self.says_when = clock, latency, burst, says_when
        self.failure: ProviderError | None = None
        self.sent: list[tuple[float, bool]] = []
        self.in_flight = self.peak = 0
        self._bucket: TokenBucket | None = None
        self._began: float | None = None

    def allow(self, per_second: float) -> None:
        """So many calls per second from now on, and none left over from before."""
        first = self._bucket is None
        self._bucket = TokenBucket(Rate(per_second, self.burst), self.clock)
        while not first and not self._bucket.take():
            pass

    async def _call_llm_api(  # type: ignore[override]
        self, prompt: str, system_prompt: str, model_name: str, model_config: ModelConfig
    ) -> tuple[str, UsageData]:
        self._began = self.clock() if self._began is None else self._began
        wait = self._bucket.take() if self._bucket else 0.0
        failed = self.failure
        self.sent.append((self.clock() - self._began, not wait and failed is None))
        if wait:
            await asyncio.sleep(0.01)
            raise RateLimitError("slow down", status=429, retry_after=self.says_when(wait))
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)
        await asyncio.sleep(self.latency)
        self.in_flight -= 1
        if failed is not None:
            raise type(failed)(failed.message, status=failed.status)
        return "fine", UsageData(10, 5)

    def manager(self, **options: Any) -> ProviderManager:
        """The manager of its calls, by its clock."""
        registry = options.pop("registry", None) or ProviderRegistry(Workspace(None))
        registry.add(self)
        return ProviderManager(registry=registry, clock=self.clock, **options)
