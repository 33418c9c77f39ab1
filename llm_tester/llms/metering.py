"""What a provider's face says of tokens, room, prices and retries."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Protocol

from llm_tester.catalogue import ModelEntry, ProviderConfig
from llm_tester.environment import DISABLED, is_on
from llm_tester.llms.backoff import Errors, F, retrying
from llm_tester.llms.price_sources import resolve_rates
from llm_tester.llms.retry import RetryPolicy
from llm_tester.llms.token_counts import Encoding, TokenCount, count, encoding_of


class Metered(Protocol):
    """What metering needs of a provider."""

    config: ProviderConfig
    environment: Mapping[str, str]
    retry: RetryPolicy | None
    encodings: dict[str, Encoding | None]

    def get_default_model(self) -> str | None:
        """The model that is used where none is named."""

    def model_entry(self, name: str) -> ModelEntry:
        """The catalogue's entry of a model."""

    def token_count(self, text: str, model_name: str | None = None) -> TokenCount:
        """The tokens of a text."""


class Metering:
    """The part of a provider's face that counts and prices, for its default model where none is named."""

    def count_tokens(self: Metered, text: str, model_name: str | None = None) -> int:
        """The tokens of a text, exact or estimated; `token_count` says which."""
        return self.token_count(text, model_name).tokens

    def token_count(self: Metered, text: str, model_name: str | None = None) -> TokenCount:
        """The tokens of a text, and how they were counted.

        Exact where the extra `tokens` is installed and knows the model. Its vocabulary is fetched once, and not at all
        where LLM_TESTER_DISABLE_PROVIDERS is on.
        """
        model = model_name or self.get_default_model() or ""
        if is_on(self.environment, DISABLED):
            return count(text)
        if model not in self.encodings:
            # Kept where there is none too: without a network each try to fetch one takes its time.
            self.encodings[model] = encoding_of(model)
        return count(text, self.encodings[model])

    @property
    def max_context_size(self: Metered) -> int | None:
        """The tokens that the default model takes; None where its catalogue does not say."""
        model = self.get_default_model()
        return self.model_entry(model).max_input_tokens if model else None

    @property
    def cost_per_1k_tokens(self: Metered) -> dict[str, float | None]:
        """USD per 1,000 tokens of the default model's `input` and `output`; None for a price that is not known."""
        model = self.get_default_model()
        rates = resolve_rates(self.config, self.model_entry(model)).by_class if model else {}
        thousand = Decimal(1000)
        return {name: float(rates[name] / thousand) if name in rates else None for name in ("input", "output")}

    def get_retry_decorator(self: Metered, retryable_exceptions: Errors = (Exception,)) -> Callable[[F], F]:
        """A decorator that tries a function again by this provider's retry settings."""
        return retrying(self.retry or RetryPolicy(), retryable_exceptions)
