from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from llm_tester import BaseLLM, ModelConfig, ProviderConfig, UsageData
from llm_tester.documents import validate
from llm_tester.errors import (
    AuthenticationError,
    BadRequestError,
    BadResponseError,
    ConfigurationError,
    MissingKeyError,
    OverloadedError,
    ProviderConnectionError,
    ProviderError,
    ProviderTimeoutError,
    RateLimitError,
    UnknownModelError,
)
from llm_tester.records import Message, Request, Response, chat

Ask = Callable[[BaseLLM, Request], Response]


def config(**fields: Any) -> ProviderConfig:
    listed = {"name": "p", "llm_models": [{"name": "m", "cost_input": 1, "cost_output": 2}, {"name": "n"}], **fields}
    return validate(ProviderConfig, listed, file="config.json")


class Echo(BaseLLM):
    """Returns what it was given; `seen` holds the last call."""

    applies = frozenset({"temperature"})
    seen: tuple[str, str, str, ModelConfig]

    def _call_llm_api(
        self, prompt: str, system_prompt: str, model_name: str, model_config: ModelConfig
    ) -> tuple[str, dict[str, Any]]:
        self.seen = (prompt, system_prompt, model_name, model_config)
        return prompt, {"input": 2, "output": 1}


class AsyncEcho(BaseLLM):
    async def _call_llm_api(  # type: ignore[override]
        self, prompt: str, system_prompt: str, model_name: str, model_config: ModelConfig
    ) -> tuple[str, UsageData]:
        await asyncio.sleep(0)
        return prompt, UsageData(2, 1)


class Broken(BaseLLM):
    """Fails with, or returns, what it is made with, and counts its calls."""

    def __init__(self, outcome: Any, config: ProviderConfig | None = None) -> None:
        super().__init__(config)
        self.outcome = outcome
        self.calls = 0

    def _call_llm_api(
        self, prompt: str, system_prompt: str, model_name: str, model_config: ModelConfig
    ) -> tuple[str, dict[str, Any]]:
        self.calls += 1
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        answer: tuple[str, dict[str, Any]] = self.outcome
        return answer


class SDKError(Exception):
    """As client libraries raise them: with a status on the exception, or on its response."""

    def __init__(self, message: str, **attributes: Any) -> None:
        super().__init__(message)
        vars(self).update(attributes)


class APITimeoutError(Exception):
    """The SDKs' own timeouts are no TimeoutError."""


class APIConnectionError(Exception):
    """The SDKs' own connection errors are no ConnectionError."""


class Answer:
    """An HTTP response, as requests and httpx hang it on their errors."""

    def __init__(self, status_code: Any) -> None:
        self.status_code = status_code


@pytest.mark.parametrize("kind", [Echo, AsyncEcho])
def test_a_drop_in_may_be_sync_or_async(kind: type[BaseLLM], ask: Ask) -> None:
    provider = kind(config())
    response = ask(provider, provider.request("hi"))
    assert (response.text, response.provider, response.model) == ("hi", "p", "m")
    assert response.cost.usd == Decimal("0.000004")
    assert response.usage == UsageData(2, 1)


@pytest.mark.parametrize("blocking", [True, False])
def test_an_async_drop_in_may_call_itself_blocking_or_not(blocking: bool, ask: Ask) -> None:
    class Declared(AsyncEcho):
        pass

    Declared.blocking = blocking
    provider = Declared(config())
    assert ask(provider, provider.request("hi")).text == "hi"


def test_the_fixed_signature_can_be_called_directly() -> None:
    provider = Echo(config())
    entry = provider.get_model_config()
    assert entry is not None
    assert provider._call_llm_api("hi", "", "m", entry) == ("hi", {"input": 2, "output": 1})


def test_a_class_needs_no_configuration() -> None:
    class _Private(Echo):
        pass

    assert Echo().name == "echo"
    assert _Private().name == "private"
    assert Echo().get_default_model() is None
    assert Echo().respond(Request("echo", "any", chat("hi"))).text == "hi"
    with pytest.raises(ConfigurationError, match="echo has no default model"):
        Echo().request("hi")


def test_get_response_puts_the_source_behind_the_prompt() -> None:
    provider = Echo(config())
    assert provider.get_response("Summarise.", "A text.", "n") == ("Summarise.\n\nA text.", UsageData(2, 1))
    assert provider.seen[2] == "n"
    assert provider.get_response("hi")[0] == "hi"


def test_what_the_signature_has_no_place_for_travels_in_the_model_config(ask: Ask) -> None:
    provider = Echo(config(system_prompt="Be brief."))
    messages = (Message("user", "a"), Message("assistant", "b"))
    schema = {"type": "object"}
    request = Request("p", "m", messages, {"temperature": 0.5, "top_k": 1}, schema, ("f.png",), {"task": "t"})
    response = ask(provider, request)
    prompt, system_prompt, model, sent = provider.seen
    assert (prompt, system_prompt, model) == ("user: a\n\nassistant: b", "Be brief.", "m")
    assert (sent.name, sent.cost_input, sent.messages, sent.files) == ("m", Decimal(1), messages, ("f.png",))
    assert (sent.parameters, sent.output_schema) == ({"temperature": 0.5, "top_k": 1}, schema)
    assert sent.tags == {"task": "t", "attempt": 1}
    assert response.not_applied == ("top_k",)
    assert provider.get_model_config("m") == ModelConfig(name="m", cost_input=Decimal(1), cost_output=Decimal(2))


def test_the_system_prompt_of_the_request_wins() -> None:
    provider = Echo(config(system_prompt="ours"))
    provider.respond(Request("p", "m", chat("hi", "theirs")))
    assert provider.seen[1] == "theirs"


def test_a_class_that_applies_everything_reports_nothing() -> None:
    class Keen(Echo):
        applies = frozenset({"*"})

    provider = Keen(config())
    assert provider.respond(Request("p", "m", chat("hi"), {"anything": 1})).not_applied == ()


@pytest.mark.parametrize(
    ("raised", "kind", "status", "calls"),
    [
        pytest.param(ValueError("odd"), ProviderError, None, 1, id="ValueError"),
        pytest.param(SystemExit(3), ProviderError, None, 1, id="SystemExit"),
        pytest.param(SDKError("bad", status_code=400), BadRequestError, 400, 1, id="400"),
        pytest.param(SDKError("key", status_code=401), AuthenticationError, 401, 1, id="401"),
        pytest.param(SDKError("slow", status_code=429), RateLimitError, 429, 4, id="429"),
        pytest.param(SDKError("busy", status_code=503), OverloadedError, 503, 4, id="503"),
        pytest.param(SDKError("busy", status=503), OverloadedError, 503, 4, id="a status as aiohttp has it"),
        pytest.param(SDKError("busy", response=Answer(502)), OverloadedError, 502, 4, id="a status as requests has it"),
        pytest.param(SDKError("odd", status_code=200), ProviderError, None, 1, id="a status that is no failure"),
        pytest.param(SDKError("odd", status_code="429"), ProviderError, None, 1, id="a status that is no number"),
        pytest.param(SDKError("odd", status_code=True), ProviderError, None, 1, id="a status that is a truth value"),
        pytest.param(TimeoutError("late"), ProviderTimeoutError, None, 4, id="TimeoutError"),
        pytest.param(APITimeoutError("late"), ProviderTimeoutError, None, 4, id="an SDK's timeout"),
        pytest.param(ConnectionResetError("gone"), ProviderConnectionError, None, 4, id="ConnectionResetError"),
        pytest.param(APIConnectionError("gone"), ProviderConnectionError, None, 4, id="an SDK's connection error"),
        pytest.param(RateLimitError("ours", retry_after=0.0, status=429), RateLimitError, 429, 4, id="one of ours"),
        pytest.param(AuthenticationError("ours"), AuthenticationError, None, 1, id="a final one of ours"),
    ],
)
def test_whatever_a_drop_in_raises_becomes_a_provider_error(
    raised: BaseException,
    kind: type[ProviderError],
    status: int | None,
    calls: int,
    patient: Callable[..., Any],
) -> None:
    provider = Broken(raised, config())
    with pytest.raises(ProviderError) as caught:
        patient(provider, provider.request("hi"))
    error = caught.value
    assert type(error) is kind
    assert (error.provider, error.model, error.status) == ("p", "m", status)
    assert (provider.calls, len(error.attempts)) == (calls, calls)
    if raised is not error:
        assert error.message.endswith(f": {type(raised).__name__}: {raised}")
        assert error.message.startswith("Broken (test_base.py:" if kind is ProviderError else "Broken: ")


@pytest.mark.parametrize(
    ("returned", "message", "reason"),
    [
        ("text", "Broken._call_llm_api returned str, not (text, usage)", "bad_return"),
        (None, "Broken._call_llm_api returned NoneType, not (text, usage)", "bad_return"),
        ((None, {}), "Broken._call_llm_api returned tuple (NoneType, dict), not (text, usage)", "bad_return"),
        (({}, "a"), "Broken._call_llm_api returned tuple (dict, str), not (text, usage)", "bad_return"),
        (("a", {}, 1), "Broken._call_llm_api returned tuple (str, dict, int), not (text, usage)", "bad_return"),
        (("a", {"tokens": 1}), 'the usage has an unknown key "tokens"', "bad_usage"),
        (("a", [1]), "usage must be a dict or UsageData, not list", "bad_usage"),
    ],
)
def test_what_is_no_answer_is_a_bad_response(returned: Any, message: str, reason: str, ask: Ask) -> None:
    provider = Broken(returned, config())
    with pytest.raises(BadResponseError) as caught:
        ask(provider, provider.request("hi"))
    assert (caught.value.message, caught.value.reason, provider.calls) == (message, reason, 1)


def test_missing_usage_is_unknown_and_not_free(ask: Ask) -> None:
    provider = Broken(("text", None), config())
    response = ask(provider, provider.request("hi"))
    assert (response.text, response.usage, response.cost.usd) == ("text", UsageData(), None)


def test_a_configuration_error_of_a_drop_in_is_no_failure_of_the_provider(ask: Ask) -> None:
    provider = Broken(MissingKeyError("P_KEY is not set"), config())
    with pytest.raises(MissingKeyError):
        ask(provider, provider.request("hi"))
    assert provider.calls == 1


def test_ctrl_c_in_code_that_does_not_block_is_not_swallowed() -> None:
    class Quick(Broken):
        blocking = False

    provider = Quick(KeyboardInterrupt(), config())
    with pytest.raises(KeyboardInterrupt):
        provider.respond(provider.request("hi"))


def test_a_drop_in_that_hangs_times_out(patient: Callable[..., Any]) -> None:
    release = threading.Event()

    class Hanging(Echo):
        def _call_llm_api(
            self, prompt: str, system_prompt: str, model_name: str, model_config: ModelConfig
        ) -> tuple[str, dict[str, Any]]:
            release.wait(10)
            return "", {}

    provider = Hanging(config(timeout=0.02, max_connections=1))
    with pytest.raises(ProviderTimeoutError, match=r"no answer within 0\.02 s") as caught:
        patient(provider, provider.request("hi"))
    assert len(caught.value.attempts) == 4
    with pytest.raises(ProviderTimeoutError, match=r"no answer within 0\.01 s"):
        patient(provider, provider.request("hi", timeout=0.01))
    release.set()


def test_models_that_are_listed() -> None:
    provider = Echo(config())
    assert provider.list_models() == ["m", "n"]
    assert provider.get_default_model() == "m"
    assert provider.is_model_available("n")
    assert not provider.is_model_available("o")
    assert provider.get_model_config("o") is None


def test_a_closed_catalogue_refuses_other_models_before_any_call() -> None:
    provider = Echo(config(llm_models=[{"name": "large"}]))
    for attempt in (lambda: provider.prepare("lrge"), lambda: provider.respond(provider.request("hi", "lrge"))):
        with pytest.raises(UnknownModelError, match='p has no model "lrge"') as caught:
            attempt()
        assert caught.value.hint == "Did you mean large?"
    assert not hasattr(provider, "seen")
    with pytest.raises(UnknownModelError) as caught:
        Echo(config(llm_models=[])).prepare("m")
    assert caught.value.hint == "Add it under providers.p.llm_models in the workspace's config.json."


def test_an_open_catalogue_takes_other_models_as_unpriced(ask: Ask) -> None:
    provider = Echo(config(open_catalogue=True))
    assert provider.is_model_available("other")
    response = ask(provider, provider.request("hi", "other"))
    assert (response.model, response.cost.usd, response.cost.known) == ("other", None, Decimal(0))


def test_a_missing_key_is_named_before_any_call() -> None:
    provider = Echo(config(env_key="P_API_KEY"))
    provider.environment = {}
    with pytest.raises(MissingKeyError, match="p needs a key, and P_API_KEY is not set") as caught:
        provider.prepare("m")
    assert "P_API_KEY" in caught.value.hint
    provider.environment = {"P_API_KEY": ""}
    assert provider.get_api_key() is None
    provider.environment = {"P_API_KEY": "secret"}
    provider.prepare("m")
    assert provider.get_api_key() == "secret"
    assert Echo(config()).get_api_key() is None


def test_simulated_by_class_or_by_configuration() -> None:
    class Simulated(Echo):
        simulated = True

    assert Simulated(config()).is_simulated
    assert Echo(config(simulated=True)).is_simulated
    assert not Echo(config()).is_simulated


def test_a_class_without_the_method_cannot_be_made() -> None:
    class Empty(BaseLLM):
        pass

    with pytest.raises(TypeError, match="abstract"):
        Empty()  # type: ignore[abstract]
