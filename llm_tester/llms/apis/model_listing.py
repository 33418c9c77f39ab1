"""`GET {base_url}/models`: the models that a server has now, whatever its catalogue says."""

from __future__ import annotations

from llm_tester.errors import ProviderError
from llm_tester.llms.exchange import CallPolicy, Delivery, exchange
from llm_tester.llms.flow import Flow, Send
from llm_tester.llms.json_bodies import bad, json_body
from llm_tester.llms.retry import RetryPolicy
from llm_tester.llms.transport import Reply, WireRequest
from llm_tester.llms.wire import HTTPProvider, raise_hidden_error
from llm_tester.records import Request, UsageData

MODELS = "models"


class _Listing:
    """A request for the list as `exchange` sees a provider; the answer's text has a name per line."""

    def __init__(self, provider: HTTPProvider) -> None:
        self._provider = provider
        self.name = provider.name
        self.is_simulated = provider.is_simulated
        self.redact = provider.redact
        self.not_applied = provider.not_applied
        self.attempt_stream = self.attempt

    def attempt(self, request: Request, number: int) -> Flow[Delivery | ProviderError]:
        provider = self._provider
        wire = WireRequest("GET", provider.url(MODELS), provider.headers(request), b"")
        outcome = yield Send(wire, request.timeout or provider.config.timeout)
        return outcome if isinstance(outcome, ProviderError) else provider.read_as(outcome, request, _names)


def listed_models(provider: HTTPProvider) -> Flow[list[str]]:
    """The names in the order in which the server gives them; raises ProviderError, after retries."""
    entry = provider.get_default_model() or MODELS
    request = Request(provider.name, entry, ())
    response = yield from exchange(_Listing(provider), request, CallPolicy(provider.retry or RetryPolicy()))
    return response.text.splitlines()


def _names(reply: Reply, _: Request) -> Delivery:
    body = json_body(reply)
    raise_hidden_error(body)
    data = body.get("data")
    names = [item.get("id") for item in data if isinstance(item, dict)] if isinstance(data, list) else [None]
    if not all(isinstance(name, str) and name.isprintable() for name in names):
        bad("the answer is no list of models", "bad_models", reply.body.decode("utf-8", "replace"))
    return Delivery("\n".join(str(name) for name in names), UsageData(0, 0))
