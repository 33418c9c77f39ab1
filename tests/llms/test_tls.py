"""TLS over a real socket: a certificate that nobody vouches for is refused before anything is sent."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from llm_tester import (
    BaseLLM,
    ConfigurationError,
    ProviderConfig,
    ProviderConnectionError,
    ProviderRegistry,
    Response,
    RetryPolicy,
    TLSConfig,
    Workspace,
)
from llm_tester.errors import ProviderError
from llm_tester.llms.apis.openai_compatible import OpenAICompatible
from llm_tester.testing import LoopbackServer, Play
from tests.llms.wire_calls import Ask, provider

KEY = {"P_API_KEY": "sk-canary-0815"}
OPENSSL = shutil.which("openssl") or ""
pytestmark = pytest.mark.skipif(not OPENSSL, reason="openssl is not installed")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that is its own authority, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    made = (folder / "cert.pem", folder / "key.pem")
    subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-out", str(made[0]), "-keyout", str(made[1])]
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-days", "2", "-nodes"]
    subprocess.run([OPENSSL, "req", "-x509", *kind, *subject, *files], check=True, capture_output=True)
    return made


@pytest.fixture
def server(certificate: tuple[Path, Path]) -> Iterator[LoopbackServer]:
    with LoopbackServer(Play("safe"), certificate=certificate[0], key=certificate[1]) as running:
        yield running


def made(workspace: Path, url: str, environment: dict[str, str], **settings: Any) -> BaseLLM:
    """The provider `p` of a workspace with such settings."""
    folder = workspace / "providers" / "p"
    folder.mkdir(exist_ok=True)
    config = {"name": "p", "api": "openai", "base_url": f"{url}/v1", "env_key": "P_API_KEY"}
    (folder / "config.json").write_text(json.dumps({**config, "llm_models": [{"name": "m"}]}))
    (workspace / "config.json").write_text(json.dumps(settings))
    return ProviderRegistry(Workspace.open(workspace, KEY | environment)).get("p")


def both(asked: BaseLLM, carrier: str = "http") -> list[Response]:
    """An answer in a thread and one on an event loop."""
    question = asked.request("hi", transport=carrier)
    return [asked.respond(question), asyncio.run(asked.arespond(question))]


@pytest.mark.parametrize("carrier", ["http", "sdk"])
def test_a_certificate_that_nobody_vouches_for_is_refused(carrier: str, server: LoopbackServer, ask_wire: Ask) -> None:
    asked = provider("openai", server.url, transport=carrier)
    with pytest.raises(ProviderConnectionError) as caught:
        ask_wire(asked, retries=2)
    assert len(caught.value.attempts) == 3
    assert server.count == 0


@pytest.mark.parametrize("carrier", ["http", "sdk"])
@pytest.mark.parametrize("where", ["workspace", "provider", "environment"])
def test_an_authority_of_ones_own_is_trusted(
    workspace: Path, server: LoopbackServer, certificate: tuple[Path, Path], where: str, carrier: str
) -> None:
    shutil.copy(certificate[0], workspace / "ca.pem")
    tls = {"ca_file": "ca.pem"}
    kinds: dict[str, Any] = {"workspace": {"tls": tls}, "provider": {"providers": {"p": {"tls": tls}}}}
    settings = kinds.get(where, {})
    environment = {"TLS_CA_FILE": str(workspace / "ca.pem")} if where == "environment" else {}
    asked = made(workspace, server.url, environment, **settings)
    assert [answer.text for answer in both(asked, carrier)] == ["safe"] * 2


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_trust_without_verification_warns(workspace: Path, server: LoopbackServer) -> None:
    with pytest.warns(UserWarning, match="not verified"):
        asked = made(workspace, server.url, {}, tls={"verify": False})
    assert [answer.text for answer in both(asked) + both(asked, "sdk")] == ["safe"] * 4


def test_the_environment_wins_over_the_file(workspace: Path, server: LoopbackServer) -> None:
    asked = made(workspace, server.url, {"TLS_VERIFY": "true"}, tls={"verify": False}, retry={"max_retries": 0})
    with pytest.raises(ProviderError):
        asked._call_llm_api("hi", "", "m", asked.get_model_config("m"))  # type: ignore[arg-type]
    assert server.count == 0


@pytest.mark.parametrize(
    ("environment", "settings", "said"),
    [
        ({}, {"tls": {"ca_file": "gone.pem"}}, r"tls\.ca_file: there is no file .*gone\.pem"),
        ({"TLS_VERIFY": "perhaps"}, {}, "expected true or false"),
        ({}, {"tls": {"verfy": True}}, "verfy"),
    ],
)
def test_settings_that_cannot_be_are_said_before_a_call(
    workspace: Path, server: LoopbackServer, environment: dict[str, str], settings: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigurationError, match=said):
        made(workspace, server.url, environment, **settings)
    assert server.count == 0


def test_a_black_hole_ends_after_the_time_to_connect(ask_wire: Ask) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        # Two connections that nobody accepts fill the queue; what comes after them gets no answer at all.
        waiting = [socket.socket() for _ in range(2)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(address)
        asked = provider("openai", f"http://127.0.0.1:{address[1]}", connect_timeout=0.1)
        with pytest.raises(ProviderError) as caught:
            ask_wire(asked, retries=2, timeout=5.0)
        for each in waiting:
            each.close()
    durations = [attempt.latency_ms for attempt in caught.value.attempts]
    assert len(durations) == 3
    assert all(duration is not None and 90 <= duration <= 1500 for duration in durations)
    assert {attempt.error for attempt in caught.value.attempts} <= {"ProviderTimeoutError", "ProviderConnectionError"}


def test_a_client_s_own_certificate_is_shown(certificate: tuple[Path, Path], workspace: Path) -> None:
    ours, key = certificate
    trusting = {"TLS_CA_FILE": str(ours)}
    with LoopbackServer(Play("safe"), certificate=ours, key=key, client_ca=ours) as server:
        nobody = made(workspace, server.url, trusting, retry={"max_retries": 0})
        with pytest.raises(ProviderConnectionError):
            nobody.respond(nobody.request("hi"))
        known = made(workspace, server.url, trusting | {"TLS_CERT_FILE": str(ours), "TLS_KEY_FILE": str(key)})
        assert [response.text for response in both(known)] == ["safe", "safe"]
        assert server.count == 2


def test_an_instance_may_be_given_its_own_trust(server: LoopbackServer, certificate: tuple[Path, Path]) -> None:
    config = ProviderConfig(name="p", base_url=f"{server.url}/v1", open_catalogue=True)
    trusting = OpenAICompatible(config, tls_config=TLSConfig(ca_file=str(certificate[0])))
    assert [trusting.complete("hi", model="m"), trusting.embed("hi", "m")[0][:0]] == ["safe", []]
    distrusting = OpenAICompatible(config, retry=RetryPolicy(max_retries=0))
    with pytest.raises(ProviderConnectionError):
        distrusting.complete("hi", model="m")
