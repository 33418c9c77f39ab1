"""What every provider must keep, whatever kind it is: the rules that `providers check` and tests of drop-ins run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from urllib.parse import urlsplit

from llm_tester.config import CONFIG_NAME, Workspace
from llm_tester.errors import ConfigurationError, LLMTesterError, MissingKeyError
from llm_tester.llms.apis.replay import ReplayLLM
from llm_tester.llms.base import BaseLLM
from llm_tester.llms.loading import importable, no_abrupt_end
from llm_tester.llms.provider_factory import DiscoveredProvider, discovered, instantiate, read_config
from llm_tester.llms.provider_sources import folder_source
from llm_tester.llms.transport import proxy_for
from llm_tester.llms.validation import Finding, Verdict, validate_provider_implementation
from llm_tester.llms.wire import HTTPProvider
from llm_tester.testing.class_contract import ClassContract
from llm_tester.testing.network_guard import NetworkGuard
from llm_tester.testing.patience import at_most
from llm_tester.testing.server import LoopbackServer
from llm_tester.testing.wire_contract import WireContract

PATIENCE = 60.0
INSTALLED = "installed: "
OWN_SENDING = ("_call_llm_api", "attempt", "attempt_stream", "make_transport")


def check_provider(provider: BaseLLM, *, call: bool = False) -> Verdict:
    """Try a provider by the contract; the verdict is true when nothing failed, and prints as a list of findings.

    Providers over HTTP are tried against a server on this machine. Classes that answer by themselves are called, but
    for those that would use a network of their own: these only with `call`, at the cost of a few short calls.
    """
    verdict = validate_provider_implementation(provider)
    if not verdict:
        return verdict
    with no_abrupt_end():
        return Verdict(provider.name, (*verdict.findings, *_tried(provider, call=call)))


def check_folder(folder: Path, workspace: Workspace, *, call: bool = False) -> Verdict:
    """As `check_provider`, of a provider folder anywhere, such as one of a package that is not installed yet."""
    file = folder / CONFIG_NAME
    said = read_config(file)
    name = said.get("name") if isinstance(said, dict) else None
    source = folder_source(name if isinstance(name, str) else folder.name, str(folder), folder)
    provider = discovered(source, workspace)
    # A package's own imports name it, and it may not be installed yet.
    package = folder.resolve() if (folder / "__init__.py").is_file() else None
    with importable(package.parent, package.name) if package else nullcontext():
        return check_discovered(provider, workspace, call=call)


def check_discovered(
    provider: DiscoveredProvider, workspace: Workspace, *, call: bool = False, patience: float = PATIENCE
) -> Verdict:
    """As `check_provider`, of a discovered one; what keeps it from being made in `patience` seconds is found."""
    guard = NetworkGuard()
    try:
        with nullcontext() if call else guard, at_most(patience):
            made = instantiate(provider, workspace)
    except LLMTesterError as error:
        fix = "Do that in the first call; or --call allows it." if guard.refused else error.hint
        return Verdict(provider.name, (Finding("loads", "failed", error.message, fix),))
    verdict = check_provider(made, call=call)
    return Verdict(verdict.provider, (*_unconfigured(provider), *verdict.findings))


def _unconfigured(provider: DiscoveredProvider) -> Iterator[Finding]:
    """Wheels leave files out that are no code, unless they are named, and all works but for prices and models."""
    if provider.source.startswith(INSTALLED) and provider.config_file is None:
        text = f"no {CONFIG_NAME} was installed beside the module, in {provider.folder}: any model is accepted"
        fix = "Where the package has one, name it as package data in pyproject.toml, and install it again."
        yield Finding("configuration", "note", text, fix)


def _tried(provider: BaseLLM, *, call: bool) -> Iterator[Finding]:
    model = provider.get_default_model() or "contract-model"
    if isinstance(provider, ReplayLLM):
        yield _recorded(provider)
    elif isinstance(provider, HTTPProvider) and not _sends_itself(type(provider)):
        yield _address(provider)
        yield from _over_http(provider, model)
    else:
        yield from ClassContract(provider, model, call=call).findings()


def _over_http(provider: HTTPProvider, model: str) -> Iterator[Finding]:
    with LoopbackServer() as server:
        if proxy_for(server.url):
            fix = "Set NO_PROXY=127.0.0.1."
            yield Finding("answer", "skipped", "HTTP_PROXY would take what is sent to this machine elsewhere", fix)
            return
        with NetworkGuard(urlsplit(server.url).port) as guard:
            found = list(WireContract(provider, model, server).findings())
    if guard.connections:
        text = f"it asks for {guard.connections[0]} beside its base_url, so no more was tried"
        yield Finding("network", "skipped", text, "Try it in a test of your own, with servers of your own.")
        return
    yield from found


def _address(provider: HTTPProvider) -> Finding:
    try:
        return Finding("address", "ok", f"calls go to {provider.host}")
    except MissingKeyError as error:
        return Finding("address", "note", error.message, error.hint)
    except ConfigurationError as error:
        return Finding("address", "failed", error.message, error.hint or "Give its base_url in config.json.")


def _recorded(provider: ReplayLLM) -> Finding:
    """Recorded answers are those of a task's samples: that their files can be read is all there is to try."""
    for model in provider.list_models():
        try:
            provider.prepare(model)
        except LLMTesterError as error:
            return Finding("answers", "failed", error.message, error.hint)
    return Finding("answers", "ok", "the recorded answers of every model can be read")


def _sends_itself(chosen: type[HTTPProvider]) -> bool:
    return any(getattr(chosen, name) is not getattr(HTTPProvider, name) for name in OWN_SENDING)
