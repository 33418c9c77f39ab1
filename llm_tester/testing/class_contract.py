"""The contract of a class with `_call_llm_api` of its own, tried by calling it where that costs nothing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from llm_tester.config import Workspace
from llm_tester.errors import BadResponseError, LLMTesterError, ProviderError, ProviderTimeoutError
from llm_tester.llms.base import BaseLLM
from llm_tester.llms.llm_registry import ProviderRegistry
from llm_tester.llms.provider_manager import ProviderManager
from llm_tester.llms.retry import RetryPolicy
from llm_tester.llms.validation import Finding
from llm_tester.records import Request, Response, chat
from llm_tester.testing.network_guard import NetworkGuard

PATIENCE = 10.0
SHORTEST = 0.001
AT_ONCE = 4
BEAT, TOO_LONG, HELD, WATCHED = 0.002, 0.25, 0.008, 10
PROMPT = "Say ok."
ODD_PROMPTS = ("", "\x00\x1b[31m", "é 漢字 🙂", "word " * 20_000)
PARAMETERS = {"temperature": 0.5, "max_tokens": 16}
STATIC_ONLY = "so it was not called: only what shows without a call was checked"


class ClassContract:
    """A class that answers by itself; with `call` it may use its own network, with the user's key and money."""

    def __init__(self, provider: BaseLLM, model: str, *, call: bool) -> None:
        self._provider = provider
        self._model = model
        self._call = call
        self._registry = ProviderRegistry(Workspace(None))
        self._registry.add(provider)
        self.calls = 0

    def findings(self) -> Iterator[Finding]:
        """What each rule found; a class that would use a network of its own is not called unless it may be."""
        if not self._call and (why := self._declared_network()):
            yield _not_called(why)
            return
        if self._call:
            yield from self._tried()
            made = f"{self.calls} call{'s' * (self.calls != 1)}"
            yield Finding("calls", "note", f"{made} made for this check, at your cost where it costs something")
            return
        with NetworkGuard() as guard:
            found = list(self._tried())
        if guard.refused:
            yield _not_called(f"it asks for {guard.refused[0]}")
            return
        yield from found

    def _declared_network(self) -> str:
        config = self._provider.config
        if self._provider.is_simulated:
            return ""
        for name in ("env_key", "base_url"):
            if getattr(config, name):
                return f"its config.json names {name}"
        unseen = NetworkGuard.unseen()
        return f"{unseen[0]} is loaded, whose network cannot be watched" if unseen else ""

    def _tried(self) -> Iterator[Finding]:
        answered, response = self._answer()
        yield answered
        if response is None:
            return
        yield _usage(response)
        yield self._parameters()
        free = self._event_loop()
        yield free
        if free.state == "failed":
            return
        yield self._threads(response)
        if not self._call:
            yield self._odd_prompts()
            yield self._timeout()

    def _request(self, prompt: str = PROMPT, timeout: float = PATIENCE) -> Request:
        return Request(
            self._provider.name, self._model, chat(prompt, ""), parameters=PARAMETERS, timeout=timeout, tags={}
        )

    def _manager(self) -> ProviderManager:
        return ProviderManager(registry=self._registry, retry=RetryPolicy(max_retries=0))

    def _ask(self, prompt: str = PROMPT, timeout: float = PATIENCE) -> Response:
        self.calls += 1
        return self._manager().respond(self._request(prompt, timeout))

    def _answer(self) -> tuple[Finding, Response | None]:
        try:
            self._provider.prepare(self._model)
            response = self._ask()
        except LLMTesterError as error:
            return _failure("answer", error), None
        return Finding("answer", "ok", "it returns a text and its usage"), response

    def _parameters(self) -> Finding:
        lost = self._provider.not_applied(self._request())
        if not lost:
            text = "declared in `applies`; whether they reach the service does not show here"
            return Finding("parameters", "note", text)
        text = f"{', '.join(lost)} of a call would be reported as not applied"
        fix = "Take them from model_config.parameters, and name those in `applies`."
        return Finding("parameters", "note", text, fix)

    def _event_loop(self) -> Finding:
        rule = "event loop"
        try:
            longest = self._shortest_hold()
        except LLMTesterError as error:
            return _failure(rule, error)
        if longest > (TOO_LONG if self._call else HELD):
            shown = f"{longest:.1f} s" if longest > TOO_LONG else f"{longest * 1000:.0f} ms"
            text = f"a call held up the event loop, and with it all other calls, for {shown}"
            fix = "Await what takes time; or write a plain def with blocking = True, which gets threads."
            return Finding(rule, "failed" if longest > TOO_LONG else "note", text, fix)
        return Finding(rule, "ok", "other calls go on meanwhile")

    def _shortest_hold(self) -> float:
        """Of calls that cost nothing several are watched: one that is held up by a busy machine alone is not always."""
        holds: list[float] = []
        # On a thread of its own: a test that checks a provider may run on a loop itself.
        with ThreadPoolExecutor(1) as pool:
            while len(holds) < (1 if self._call else WATCHED) and min(holds, default=HELD) >= HELD and sum(holds) < 1:
                self.calls += 1
                holds.append(pool.submit(asyncio.run, _watched(self._manager().arespond(self._request()))).result())
        return min(holds)

    def _threads(self, first: Response) -> Finding:
        rule, what = "threads", f"{AT_ONCE} calls at once"
        prompts = [f"{PROMPT} ({number})" for number in range(AT_ONCE)]
        # Only of answers that are always the same is it known what they must be.
        steady = not self._call and self._ask().text == first.text
        try:
            alone = [self._ask(prompt).text for prompt in prompts] if steady else []
            self.calls += AT_ONCE
            manager = self._manager()
            with ThreadPoolExecutor(AT_ONCE) as pool:
                found = list(pool.map(lambda prompt: manager.respond(self._request(prompt)).text, prompts))
        except LLMTesterError as error:
            return _failure(rule, error)
        if steady and found != alone:
            fix = "Keep nothing of a call on self: calls share the instance."
            return Finding(rule, "failed", f"{what} got other answers than one after the other", fix)
        return Finding(rule, "ok", f"{what}: {'each got its own answer' if steady else 'none failed'}")

    def _odd_prompts(self) -> Finding:
        for prompt in ODD_PROMPTS:
            try:
                self._ask(prompt)
            except LLMTesterError as error:
                return _failure("odd prompts", error)
        return Finding("odd prompts", "ok", "an empty, a long, and one of other scripts and control codes are answered")

    def _timeout(self) -> Finding:
        begun = time.monotonic()
        try:
            self._ask(timeout=SHORTEST)
        except ProviderTimeoutError:
            pass
        except LLMTesterError as error:
            return _failure("timeouts", error)
        if time.monotonic() - begun > PATIENCE / 2:
            text = f"a deadline of {SHORTEST:g} s held for {time.monotonic() - begun:.1f} s"
            return Finding("timeouts", "failed", text, "blocking = False is for code that never waits.")
        return Finding("timeouts", "ok", "the deadline of a call holds, whatever the class does")


def _not_called(why: str) -> Finding:
    fix = f"--call calls it, with your key and at your cost: {AT_ONCE + 2} short calls."
    return Finding("calls", "skipped", f"{why}, {STATIC_ONLY}", fix)


def _failure(rule: str, error: LLMTesterError) -> Finding:
    text = f"{type(error).__name__}: {error.message}"
    if isinstance(error, BadResponseError):
        return Finding(rule, "failed", text, error.hint or 'Return (text, {"input": 10, "output": 5}).')
    if type(error) is ProviderError:
        fix = (
            "Raise what says more: error_for_status(status, message), ProviderTimeoutError, ProviderConnectionError, "
            "or an exception with .status_code. Such a plain error is never tried again."
        )
        return Finding(rule, "failed", text, fix)
    return Finding(rule, "failed", text, error.hint)


def _usage(response: Response) -> Finding:
    usage = response.usage
    if usage.inconsistent:
        text = "; ".join(usage.inconsistent)
        fix = "Counts of parts lie within the whole." if " sum to " in text else "Write counts as whole numbers: 10."
        return Finding("usage", "failed", text, fix)
    if usage.prompt_tokens is None or usage.completion_tokens is None:
        fix = 'Return {"input": ..., "output": ...} where the service tells them.'
        return Finding("usage", "note", "input or output is not reported: costs will be unknown", fix)
    return Finding("usage", "ok", f"{usage.prompt_tokens} in, {usage.completion_tokens} out")


async def _watched(call: Coroutine[Any, Any, Any]) -> float:
    """The longest time in seconds for which a call kept the loop from doing anything else."""
    gaps: list[float] = [0.0]

    async def beat() -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(BEAT)
            gaps.append(time.monotonic() - before - BEAT)

    heart = asyncio.create_task(beat())
    await asyncio.sleep(0)
    begun = time.monotonic()
    try:
        await call
        # What held the loop to its end is seen at the next beat.
        await asyncio.sleep(2 * BEAT)
    finally:
        heart.cancel()
    took = time.monotonic() - begun
    return _longest(gaps, took)


def _longest(gaps: Sequence[float], took: float) -> float:
    """On a busy machine a beat may come late by itself; what holds the loop does so for most of the call."""
    return max(gaps) if max(gaps) > took / 2 else 0.0
