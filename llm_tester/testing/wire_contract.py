"""The contract of a provider over HTTP, tried against a server on this machine that speaks its wire."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

from llm_tester.config import Workspace
from llm_tester.errors import (
    AuthenticationError,
    BadRequestError,
    BadResponseError,
    LLMTesterError,
    OverloadedError,
    ProviderConnectionError,
    ProviderError,
    ProviderTimeoutError,
    QuotaExceededError,
    RateLimitError,
)
from llm_tester.llms.llm_registry import ProviderRegistry
from llm_tester.llms.provider_manager import ProviderManager
from llm_tester.llms.retry import RetryPolicy
from llm_tester.llms.validation import Finding
from llm_tester.llms.wire import HTTPProvider
from llm_tester.records import Request, Response, chat
from llm_tester.testing.plays import ABSENT, Play, Received, Scripted
from llm_tester.testing.server import LoopbackServer

KEY = "contract-key-5f0c"
TEXT = "contract answer"
COUNTS = {"input": 11, "output": 7}
PARAMETERS = {"temperature": 0.53, "max_tokens": 4321, "seed": 86421}
PATIENCE, DEADLINE = 5.0, 0.2
AT_ONCE = 16
ERRORS: tuple[tuple[str, Play, type[ProviderError]], ...] = (
    ("status 400", Play(status=400), BadRequestError),
    ("status 401", Play(status=401), AuthenticationError),
    ("status 402", Play(status=402), QuotaExceededError),
    ("status 429", Play(status=429, headers={"retry-after": "7"}), RateLimitError),
    ("status 500", Play(status=500), OverloadedError),
    ("a connection that breaks", Play(fault="reset"), ProviderConnectionError),
)
BAD_ANSWERS: tuple[tuple[str, Play], ...] = (
    ("HTML", Play(raw=b"<html>busy</html>", content_type="text/html")),
    ("broken JSON", Play(raw=b'{"choices": [')),
    ("an empty object", Play(raw=b"{}")),
)
Rule = Callable[[], Finding]


class WireContract:
    """A provider's class and configuration, made again with the server's address in place of its own."""

    def __init__(self, provider: HTTPProvider, model: str, server: LoopbackServer) -> None:
        changes = {"base_url": f"{server.url}/v1", "tls": None, "max_connections": AT_ONCE}
        self._provider = type(provider)(provider.config.model_copy(update=changes))
        env_key = provider.config.env_key
        self._provider.environment = {**provider.environment, **({env_key: KEY} if env_key else {})}
        self._server = server
        self._model = model
        self._registry = ProviderRegistry(Workspace(None))
        self._registry.add(self._provider)

    def findings(self) -> Iterator[Finding]:
        """What each rule found; nothing is sent for a class whose requests would go elsewhere."""
        away = self._address()
        if away is not None:
            yield away
            return
        answered = self._answer()
        yield answered
        if answered.state != "ok":
            return
        rules = (self._key, self._parameters, self._usage, self._errors, self._bad_answers, self._retries)
        for rule in (*rules, self._timeout, self._stream, self._threads, self._event_loop):
            yield self._tried(rule)

    @staticmethod
    def _tried(rule: Rule) -> Finding:
        try:
            return rule()
        except LLMTesterError as error:
            name = rule.__name__.strip("_").replace("_", " ")
            return Finding(name, "failed", f"{type(error).__name__}: {error.message}", error.hint)

    def _request(
        self, prompt: str = "Say ok.", *, timeout: float = PATIENCE, parameters: Mapping[str, Any] | None = None
    ) -> Request:
        turns = chat(prompt, "")
        return Request(self._provider.name, self._model, turns, parameters=parameters or {}, timeout=timeout)

    def _manager(self, retries: int = 0) -> ProviderManager:
        return ProviderManager(registry=self._registry, retry=RetryPolicy(max_retries=retries, initial_delay=0))

    def _ask(self, play: Scripted, request: Request | None = None, *, retries: int = 0) -> Response:
        self._server.reset()
        self._server.play(play)
        return self._manager(retries).respond(request or self._request())

    def _play(self, text: str = TEXT) -> Play:
        """An answer whose counts stand where this provider's configuration says."""
        paths = self._provider.paths
        raw: Any = ABSENT
        if self._provider.config.usage is not None and self._provider.config.usage.paths:
            raw = {}
            for name, count in COUNTS.items():
                _put(raw, paths.counts[name][0], count)
        in_stream: Any = paths.in_stream
        return Play(text, usage=COUNTS, raw_usage=raw, in_stream=in_stream)

    def _address(self) -> Finding | None:
        try:
            wire = self._provider.build_request(self._request())
        except Exception as error:  # noqa: BLE001 - a foreign class may raise anything, and that is what is found
            text = f"build_request raises {type(error).__name__}: {error}"
            return Finding("request", "failed", text, getattr(error, "hint", ""))
        if wire.url.startswith(f"{self._server.url}/"):
            return None
        text = f"requests go to {urlsplit(wire.url).netloc}, whatever base_url says; nothing was sent"
        return Finding("request", "failed", text, "Make the address with self.url(path).")

    def _answer(self) -> Finding:
        rule = "answer"
        try:
            response = self._ask(self._play())
        except LLMTesterError as error:
            if self._server.received and not self._server.received[-1].api:
                path = self._server.received[-1].path
                text = f"POST {path} is none of the APIs that the server here speaks, so nothing more was tried"
                return Finding(rule, "skipped", text, "Try it in a test of your own, or with --call where you may.")
            return Finding(rule, "failed", f"{type(error).__name__}: {error.message}", error.hint)
        if response.text != TEXT:
            return Finding(rule, "failed", f"the text is {response.text!r}, not {TEXT!r}", "Mend parse_response.")
        return Finding(rule, "ok", "the text of an answer is read as it was sent")

    def _key(self) -> Finding:
        if not self._provider.config.env_key:
            return Finding("key", "ok", "it needs none")
        self._ask(self._play())
        sent = self._server.received[-1]
        shown = [name for name, value in sent.headers.items() if KEY in value] + ["address"] * (KEY in sent.query)
        if KEY.encode() in sent.raw:
            return Finding("key", "failed", "it stands in the body of requests", "Show it in a header.")
        if not shown:
            fix = 'See "auth" in config.json, and self.headers(request).'
            return Finding("key", "failed", "it is not sent", fix)
        return Finding("key", "ok", f"it is sent in {', '.join(shown)}")

    def _parameters(self) -> Finding:
        response = self._ask(self._play(), self._request(parameters=PARAMETERS))
        body = self._server.received[-1].raw.decode("utf-8", "replace")
        told = {change.partition(" ")[0] for change in response.not_applied}
        lost = [name for name, value in PARAMETERS.items() if json.dumps(value) not in body and name not in told]
        if lost:
            fix = "Put self.sent_parameters(request) into the body, or name in not_applied what is left out."
            return Finding("parameters", "failed", f"{', '.join(lost)}: neither sent nor reported", fix)
        left = f"; not applied, and said so: {', '.join(sorted(told))}" if told else ""
        return Finding("parameters", "ok", f"what is asked for is sent{left}")

    def _usage(self) -> Finding:
        usage = self._ask(self._play()).usage
        found = {"input": usage.prompt_tokens, "output": usage.completion_tokens}
        if found != COUNTS:
            fix = 'Say in config.json where they stand: "usage": {"paths": {"input": "...", "output": "..."}}.'
            return Finding("usage", "failed", f"{COUNTS} was sent, {found} was read", fix)
        silent = self._ask(Play(TEXT, usage=None)).usage.counts()
        if silent:
            return Finding("usage", "failed", f"an answer without counts has {silent}", "What is not told stays None.")
        if self._provider.config.usage is not None and self._provider.config.usage.paths:
            fix = "Ask it once, and see that its tokens are told: llm-tester ask."
            return Finding("usage", "note", "your paths were played back, not compared with your server", fix)
        return Finding("usage", "ok", "counts are read; what is not told is unknown, not 0")

    def _errors(self) -> Finding:
        wrong = []
        for name, play, expected in ERRORS:
            error = self._failure(play)
            if not isinstance(error, expected):
                wrong.append(f"{name} is {_named(error)}, not {expected.__name__}")
            elif isinstance(error, RateLimitError) and error.retry_after != 7:
                wrong.append(f"{name}: retry-after 7 is read as {error.retry_after}")
        if wrong:
            return Finding("errors", "failed", "; ".join(wrong), "Leave errors to HTTPProvider.read and error_of.")
        return Finding("errors", "ok", f"{', '.join(name for name, *_ in ERRORS)}: each is its own error")

    def _bad_answers(self) -> Finding:
        found = [(name, self._failure(play)) for name, play in BAD_ANSWERS]
        wrong = [f"{name} is {_named(error)}" for name, error in found if not isinstance(error, BadResponseError)]
        if wrong:
            fix = "Raise BadResponseError in parse_response for what is no answer."
            return Finding("bad answers", "failed", f"{'; '.join(wrong)}, not BadResponseError", fix)
        return Finding("bad answers", "ok", f"{', '.join(name for name, _ in found)}: BadResponseError")

    def _failure(self, play: Play) -> BaseException | None:
        try:
            self._ask(play)
        except LLMTesterError as error:
            return error
        except Exception as error:  # noqa: BLE001 - what a foreign class lets through is the finding
            return error
        return None

    def _retries(self) -> Finding:
        attempts = self._ask([Play(status=503), self._play()], retries=1).attempts
        if [attempt.ok for attempt in attempts] != [False, True]:
            return Finding("retries", "failed", f"{len(attempts)} attempts", "One call sends one request.")
        return Finding("retries", "ok", "a 503 is asked again, and both attempts are on record")

    def _timeout(self) -> Finding:
        self._server.play(Play(fault="hang"))
        begun = time.monotonic()
        error: BaseException | None = None
        try:
            self._manager().respond(self._request(timeout=DEADLINE))
        except ProviderError as failure:
            error = failure
        elapsed = time.monotonic() - begun
        if not isinstance(error, ProviderTimeoutError) or elapsed > PATIENCE:
            text = f"a server that hangs ends as {_named(error)} after {elapsed:.1f} s"
            return Finding("timeouts", "failed", text, "Hand request.timeout on.")
        return Finding("timeouts", "ok", "a server that hangs is left at the deadline")

    def _stream(self) -> Finding:
        request = self._request()
        if self._provider.parse_stream(request) is None:
            return Finding("stream", "ok", "it does not stream; answers come whole")
        self._server.play(self._play())
        with self._manager().stream(request) as stream:
            text = "".join(stream)
            usage = stream.response.usage
        if text != TEXT:
            return Finding("stream", "failed", f"the pieces make {text!r}, not {TEXT!r}", "Mend parse_stream.")
        if usage.prompt_tokens is None or usage.completion_tokens is None:
            fix = 'See "in_stream" under "usage" in config.json.'
            return Finding("stream", "note", "a stream tells no counts: its cost is unknown", fix)
        return Finding("stream", "ok", "pieces make the whole, and its counts are read")

    def _threads(self) -> Finding:
        self._server.play(lambda received: self._play(_word_of(received)))
        manager = self._manager()
        words = [f"contract-{number}" for number in range(AT_ONCE)]
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda word: manager.respond(self._request(word)).text, words))
        return _kept_apart("threads", words, found, f"{AT_ONCE} calls from 8 threads")

    def _event_loop(self) -> Finding:
        self._server.play(lambda received: self._play(_word_of(received)))
        words = [f"contract-{number}" for number in range(AT_ONCE)]

        async def together() -> list[str]:
            manager = self._manager()
            answers = await asyncio.gather(*(manager.arespond(self._request(word)) for word in words))
            return [response.text for response in answers]

        # On a thread of its own: a test that checks a provider may run on a loop itself.
        with ThreadPoolExecutor(1) as pool:
            found = pool.submit(asyncio.run, together()).result()
        return _kept_apart("event loop", words, found, f"{AT_ONCE} calls at once")


def _kept_apart(rule: str, words: list[str], found: list[str], what: str) -> Finding:
    mixed = sum(word != text for word, text in zip(words, found, strict=True))
    if mixed:
        fix = "Keep nothing of a call on self: calls share the instance."
        return Finding(rule, "failed", f"{what}: {mixed} got the answer of another", fix)
    return Finding(rule, "ok", f"{what}: each got its own answer")


def _word_of(received: Received) -> str:
    found = re.search(rb"contract-\d+", received.raw)
    return found[0].decode() if found else ""


def _named(error: BaseException | None) -> str:
    return type(error).__name__ if error else "taken for an answer"


def _put(target: dict[str, Any], path: tuple[str, ...], value: int) -> None:
    for step in path[:-1]:
        target = target.setdefault(step, {})
    target[path[-1]] = value
