"""A key is in nothing that is left behind: logs at DEBUG, ledger, reports, output, even where a server quotes it."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, unquote, unquote_to_bytes

import pytest

from llm_tester import ProviderError
from llm_tester.config import Workspace
from llm_tester.llms.llm_registry import ProviderRegistry
from llm_tester.testing import LoopbackServer, Play, Received
from tests.evals.conftest import Bench, bench

__all__ = ["bench"]

KEY = "sk-canary/5f0c+e1=="
FORMS = tuple(form.encode() for form in (KEY, quote(KEY, safe=""), base64.b64encode(KEY.encode()).decode()))
MARK = "Which number follows"
MODEL = {"name": "m", "cost_input": 1, "cost_output": 2}
KINDS = {
    "openai": {"api": "openai", "auth": {"kind": "bearer"}},
    "anthropic": {"api": "anthropic", "auth": {"kind": "header", "name": "x-api-key"}},
    "asked": {"api": "openai", "auth": {"kind": "query", "name": "key"}},
    "vendor": {"api": "openai", "auth": {"kind": "query", "name": "key"}, "transport": "sdk"},
    "maker": {"api": "anthropic", "auth": {"kind": "header", "name": "x-api-key"}, "transport": "sdk"},
}


def quoting(received: Received) -> Play:
    """A server that quotes what it was sent: in errors, in an answer, in a redirect."""
    said = f"{dict(received.headers)} {received.query}"
    asked = str(received.body["messages"])
    if "s1" in asked:
        return Play(status=401, error={"message": f"bad key: {said}", "code": "invalid_api_key"})
    if "s2" in asked:
        return Play(status=503, error={"message": f"overloaded: {said}"}, headers={"retry-after-ms": "1"})
    if "s3" in asked:
        return Play(fault="redirect", location=f"/v1/chat/completions?key={quote(KEY, safe='')}&k={KEY}")
    return Play(said)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Path]:
    """Everything that any library logs."""
    file = tmp_path / "all.log"
    handler = logging.FileHandler(file)
    handler.setFormatter(logging.Formatter("%(name)s %(message)s"))
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield file
    root.removeHandler(handler)
    root.setLevel(level)
    handler.close()


@pytest.fixture
def served(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackServer]:
    """A task of five samples, and one provider of each way to send a key, on a server that quotes what it gets."""
    samples = [{"id": f"s{n}", "input": f"{MARK} s{n}?", "target": n} for n in range(1, 6)]
    bench.task(samples=samples, parameters={"max_tokens": 5})
    with LoopbackServer(quoting) as running:
        for name, kind in KINDS.items():
            monkeypatch.setenv(f"{name.upper()}_KEY", KEY)
            base = running.url if kind["api"] == "anthropic" else f"{running.url}/v1"
            entry = {"name": name, "env_key": f"{name.upper()}_KEY", "base_url": base, "llm_models": [MODEL], **kind}
            bench.write(f"providers/{name}/config.json", entry)
        bench.write("config.json", {"retry": {"max_retries": 1, "initial_delay": 0.001}})
        yield running


def leaks(content: bytes) -> list[bytes]:
    plain = unquote_to_bytes(content)
    return [form for form in FORMS if form in content or form in plain]


def test_the_server_does_get_the_keys_and_quotes_them(served: LoopbackServer, bench: Bench, log: Path) -> None:
    bench.cli("run", "sums", "--yes", *(part for name in KINDS for part in ("-m", f"{name}:m")))
    seen = "".join(f"{received.headers}{received.query}" for received in served.received)
    assert leaks(seen.encode())
    assert all(KEY in unquote(f"{received.headers}{received.query}") for received in served.received)
    assert {received.model for received in served.received} == {"m"}
    assert served.count >= 5 * len(KINDS)


def test_nothing_that_a_run_leaves_holds_a_key(served: LoopbackServer, bench: Bench, log: Path) -> None:
    ended = bench.cli("run", "sums", "--yes", *(part for name in KINDS for part in ("-m", f"{name}:m")))
    shown = [ended.out, ended.err]
    for command in (
        ("show", "last"),
        ("show", "last", "--wrong"),
        ("show", "last", "s1"),
        ("show", "last", "s4"),
        ("report", "last", "--format", "json"),
        ("report", "last", "--format", "csv"),
        ("report", "last", "--format", "md"),
        ("costs", "--format", "json"),
    ):
        ended = bench.cli(*command)
        shown += [ended.out, ended.err]
    written = {name: content for name, content in bench.snapshot().items() if content is not None}
    assert any(name.endswith(".html") for name in written)
    assert any("ledger.sqlite3" in name for name in written)
    kept = {**written, "the log": log.read_bytes(), "the output": "".join(shown).encode()}
    assert {name: found for name, content in kept.items() if (found := leaks(content))} == {}
    # The search does find what is there.
    assert MARK.encode() in kept["the log"]
    assert b"[key]" in kept["the output"]
    assert any(MARK.encode() in content for name, content in written.items() if "ledger" in name)


@pytest.mark.parametrize("name", KINDS)
def test_calls_in_threads_log_no_key_either(served: LoopbackServer, bench: Bench, log: Path, name: str) -> None:
    registry = ProviderRegistry(Workspace.open(bench.root, {f"{name.upper()}_KEY": KEY}))
    provider = registry.get(name)
    assert KEY not in provider.respond(provider.request("s4")).text
    with provider.stream("s5") as stream:
        # The pieces are handed on as they come; what is kept is the whole.
        assert "".join(stream)
        assert KEY not in stream.response.text
    for sample in ("s1", "s2", "s3"):
        with pytest.raises(ProviderError) as failed:
            provider.respond(provider.request(sample))
        error = failed.value
        assert not leaks(
            json.dumps([error.message, error.hint, repr(error), repr(error.args), str(error.attempts)]).encode()
        )
    assert leaks(log.read_bytes()) == []
    assert (b"httpcore2" if KINDS[name].get("transport") else b"urllib3") in log.read_bytes()
