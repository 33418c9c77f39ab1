"""Retries with growing waits around any function, by the same policy as the calls of providers."""

from __future__ import annotations

import asyncio
import functools
import inspect
import random as chance
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from llm_tester.errors import OverloadedError, ProviderError
from llm_tester.llms.retry import RetryPolicy

F = TypeVar("F", bound=Callable[..., Any])
Errors = tuple[type[BaseException], ...]


def retry_with_exponential_backoff(
    max_retries: int = 3,
    initial_delay: float = 1.0,
    exponential_base: float = 2.0,
    max_delay: float = 60.0,
    jitter: bool = True,
    retryable_exceptions: Errors = (Exception,),
    *,
    sleep: Callable[[float], None] = time.sleep,
    asleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    random: Callable[[], float] = chance.random,
) -> Callable[[F], F]:
    """A decorator for functions, `async def` too: `max_retries` tries after the first, and then the last error.

    Tried again is what is one of `retryable_exceptions`, but of our ProviderErrors only those that waiting can mend.
    """
    policy = RetryPolicy(max_retries, initial_delay, exponential_base, max_delay, jitter, random=random)
    return retrying(policy, retryable_exceptions, sleep=sleep, asleep=asleep)


def retrying(
    policy: RetryPolicy,
    retryable_exceptions: Errors = (Exception,),
    *,
    sleep: Callable[[float], None] = time.sleep,
    asleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> Callable[[F], F]:
    """As `retry_with_exponential_backoff`, by a policy."""

    def decorated(function: F) -> F:
        @functools.wraps(function)
        def call(*arguments: Any, **named: Any) -> Any:
            attempt = 1
            while True:
                try:
                    return function(*arguments, **named)
                except retryable_exceptions as error:
                    delay = _delay(policy, attempt, error)
                    if delay is None:
                        raise
                sleep(delay)
                attempt += 1

        @functools.wraps(function)
        async def acall(*arguments: Any, **named: Any) -> Any:
            attempt = 1
            while True:
                try:
                    return await function(*arguments, **named)
                except retryable_exceptions as error:
                    delay = _delay(policy, attempt, error)
                    if delay is None:
                        raise
                await asleep(delay)
                attempt += 1

        chosen: Any = acall if inspect.iscoroutinefunction(function) else call
        return chosen  # type: ignore[no-any-return]

    return decorated


def _delay(policy: RetryPolicy, attempt: int, error: BaseException) -> float | None:
    """Errors of other libraries are taken for an overload: they say neither that waiting helps nor for how long."""
    return policy.delay(attempt, error if isinstance(error, ProviderError) else OverloadedError(str(error)))
