"""LLM Tester: which model, from which provider, does the job well enough for the least money, and how sure is that."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from llm_tester.version import __version__

if TYPE_CHECKING:
    from llm_tester.catalogue import ModelConfig, ModelEntry, ProviderConfig
    from llm_tester.config import Workspace
    from llm_tester.cost_manager import Rates
    from llm_tester.cost_tracker import CostTracker
    from llm_tester.documents import Document
    from llm_tester.errors import (
        AllProvidersFailedError,
        AuthenticationError,
        BadRequestError,
        BadResponseError,
        BudgetExceededError,
        CircuitOpenError,
        ConfigurationError,
        ContentFilterError,
        ContextLengthError,
        LedgerError,
        LLMTesterError,
        MissingKeyError,
        OverloadedError,
        ProviderConnectionError,
        ProviderError,
        ProviderLoadError,
        ProviderTimeoutError,
        QuotaExceededError,
        RateLimitError,
        StreamAbandoned,
        SubstitutionWarning,
        TaskError,
        UnknownModelError,
        UnknownProviderError,
        error_for_status,
    )
    from llm_tester.evals.samples import Outcome, Sample, Score
    from llm_tester.evals.tasks import Task
    from llm_tester.evals.tester import LLMTester, Run
    from llm_tester.llms.apis.openai_compatible import OpenAICompatible
    from llm_tester.llms.backoff import retry_with_exponential_backoff
    from llm_tester.llms.base import BaseLLM
    from llm_tester.llms.config_values import get_provider_config, get_settings
    from llm_tester.llms.convenience import (
        acomplete,
        aembed,
        astream,
        complete,
        embed,
        generate,
        generate_stream,
        get_provider,
        stream,
    )
    from llm_tester.llms.embeddings import Embeddings
    from llm_tester.llms.factory import ProviderFactory
    from llm_tester.llms.fallback import FallbackProvider
    from llm_tester.llms.llm_registry import (
        ProviderRegistry,
        discover_providers,
        get_llm_provider,
        reset_provider_cache,
    )
    from llm_tester.llms.manager_config import ManagerConfig
    from llm_tester.llms.offline import OfflineProvider
    from llm_tester.llms.provider_factory import create_provider, discover_provider_classes, load_provider_config
    from llm_tester.llms.provider_manager import ProviderManager
    from llm_tester.llms.response_cache import ResponseCache
    from llm_tester.llms.retry import RetryPolicy
    from llm_tester.llms.streams import AsyncStream, Stream
    from llm_tester.llms.validation import validate_provider_implementation
    from llm_tester.llms.wire import HTTPProvider
    from llm_tester.records import Attempt, Cost, Message, Request, Response, TLSConfig, UsageData

_MODULES = {
    "catalogue": ("ModelConfig", "ModelEntry", "ProviderConfig"),
    "config": ("Workspace",),
    "cost_manager": ("Rates",),
    "cost_tracker": ("CostTracker",),
    "documents": ("Document",),
    "errors": (
        "AllProvidersFailedError",
        "AuthenticationError",
        "BadRequestError",
        "BadResponseError",
        "BudgetExceededError",
        "CircuitOpenError",
        "ConfigurationError",
        "ContentFilterError",
        "ContextLengthError",
        "LLMTesterError",
        "LedgerError",
        "MissingKeyError",
        "OverloadedError",
        "ProviderConnectionError",
        "ProviderError",
        "ProviderLoadError",
        "ProviderTimeoutError",
        "QuotaExceededError",
        "RateLimitError",
        "StreamAbandoned",
        "SubstitutionWarning",
        "TaskError",
        "UnknownModelError",
        "UnknownProviderError",
        "error_for_status",
    ),
    "evals.samples": ("Outcome", "Sample", "Score"),
    "evals.tasks": ("Task",),
    "evals.tester": ("LLMTester", "Run"),
    "llms.apis.openai_compatible": ("OpenAICompatible",),
    "llms.backoff": ("retry_with_exponential_backoff",),
    "llms.base": ("BaseLLM",),
    "llms.config_values": ("get_provider_config", "get_settings"),
    "llms.convenience": (
        "acomplete",
        "aembed",
        "astream",
        "complete",
        "embed",
        "generate",
        "generate_stream",
        "get_provider",
        "stream",
    ),
    "llms.embeddings": ("Embeddings",),
    "llms.factory": ("ProviderFactory",),
    "llms.fallback": ("FallbackProvider",),
    "llms.llm_registry": ("ProviderRegistry", "discover_providers", "get_llm_provider", "reset_provider_cache"),
    "llms.manager_config": ("ManagerConfig",),
    "llms.offline": ("OfflineProvider",),
    "llms.provider_factory": ("create_provider", "discover_provider_classes", "load_provider_config"),
    "llms.provider_manager": ("ProviderManager",),
    "llms.response_cache": ("ResponseCache",),
    "llms.retry": ("RetryPolicy",),
    "llms.streams": ("AsyncStream", "Stream"),
    "llms.validation": ("validate_provider_implementation",),
    "llms.wire": ("HTTPProvider",),
    "records": ("Attempt", "Cost", "Message", "Request", "Response", "TLSConfig", "UsageData"),
}
_HOME = {name: f"llm_tester.{module}" for module, names in _MODULES.items() for name in names}

__all__ = [
    "AllProvidersFailedError",
    "AsyncStream",
    "Attempt",
    "AuthenticationError",
    "BadRequestError",
    "BadResponseError",
    "BaseLLM",
    "BudgetExceededError",
    "CircuitOpenError",
    "ConfigurationError",
    "ContentFilterError",
    "ContextLengthError",
    "Cost",
    "CostTracker",
    "Document",
    "Embeddings",
    "FallbackProvider",
    "HTTPProvider",
    "LLMTester",
    "LLMTesterError",
    "LedgerError",
    "ManagerConfig",
    "Message",
    "MissingKeyError",
    "ModelConfig",
    "ModelEntry",
    "OfflineProvider",
    "OpenAICompatible",
    "Outcome",
    "OverloadedError",
    "ProviderConfig",
    "ProviderConnectionError",
    "ProviderError",
    "ProviderFactory",
    "ProviderLoadError",
    "ProviderManager",
    "ProviderRegistry",
    "ProviderTimeoutError",
    "QuotaExceededError",
    "RateLimitError",
    "Rates",
    "Request",
    "Response",
    "ResponseCache",
    "RetryPolicy",
    "Run",
    "Sample",
    "Score",
    "Stream",
    "StreamAbandoned",
    "SubstitutionWarning",
    "TLSConfig",
    "Task",
    "TaskError",
    "UnknownModelError",
    "UnknownProviderError",
    "UsageData",
    "Workspace",
    "__version__",
    "acomplete",
    "aembed",
    "astream",
    "complete",
    "create_provider",
    "discover_provider_classes",
    "discover_providers",
    "embed",
    "error_for_status",
    "generate",
    "generate_stream",
    "get_llm_provider",
    "get_provider",
    "get_provider_config",
    "get_settings",
    "load_provider_config",
    "reset_provider_cache",
    "retry_with_exponential_backoff",
    "stream",
    "validate_provider_implementation",
]


def __getattr__(name: str) -> Any:
    """The public name, imported at its first use: `import llm_tester` alone loads nothing heavy."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
