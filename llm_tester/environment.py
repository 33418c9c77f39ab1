"""Environment variables: what each one means, which older name stands for it, and what counts as yes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from llm_tester.errors import ConfigurationError

PREFIX, OLD_PREFIX = "LLM_TESTER_", "DEVSYNTH_"
PROVIDER = "LLM_TESTER_PROVIDER"
SAFE_DEFAULT = "LLM_TESTER_SAFE_DEFAULT_PROVIDER"
DISABLED = "LLM_TESTER_DISABLE_PROVIDERS"
LMSTUDIO_AVAILABLE = "LLM_TESTER_RESOURCE_LMSTUDIO_AVAILABLE"
FALLBACK_PROVIDER = "LLM_TESTER_FALLBACK_PROVIDER"
USE_LOCAL_FALLBACK = "LLM_TESTER_USE_LOCAL_FALLBACK"
_WORDS = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable; `setting` is the key of config.json that it wins over, where there is one."""

    name: str
    meaning: str
    default: str = ""
    setting: str = ""


VARIABLES = (
    Variable("LLM_TESTER_WORKSPACE", "the folder of the workspace"),
    Variable("LLM_TESTER_PROJECT", "the label under which calls are billed", setting="run.project"),
    Variable(PROVIDER, "the provider of calls that name none"),
    Variable(SAFE_DEFAULT, "who answers where no provider can be used: stub or null", "stub"),
    Variable(DISABLED, "forbids all providers that are not simulated", "false"),
    Variable(LMSTUDIO_AVAILABLE, "lets calls that name no provider go to LM Studio", "false"),
    Variable(FALLBACK_PROVIDER, "the provider that ProviderFactory.create takes second"),
    Variable(USE_LOCAL_FALLBACK, "lets ProviderFactory.create take the provider `local` last", "false"),
    Variable("TLS_VERIFY", "whether a server's certificate is verified", "true", "tls.verify"),
    Variable("TLS_CERT_FILE", "the certificate that this client shows, PEM", setting="tls.cert_file"),
    Variable("TLS_KEY_FILE", "the key of that certificate, PEM", setting="tls.key_file"),
    Variable("TLS_CA_FILE", "the authorities that are trusted, PEM", setting="tls.ca_file"),
    Variable("PROVIDER_MAX_RETRIES", "tries after the first", "3", "retry.max_retries"),
    Variable("PROVIDER_INITIAL_DELAY", "seconds before the first retry", "1.0", "retry.initial_delay"),
    Variable("PROVIDER_EXPONENTIAL_BASE", "growth of the wait", "2.0", "retry.exponential_base"),
    Variable("PROVIDER_MAX_DELAY", "the longest wait in seconds", "60.0", "retry.max_delay"),
    Variable("PROVIDER_JITTER", "whether waits are drawn at random", "true", "retry.jitter"),
    Variable(
        "PROVIDER_CIRCUIT_BREAKER_ENABLED", "whether failing models are spared", "true", "circuit_breaker.enabled"
    ),
    Variable("PROVIDER_FAILURE_THRESHOLD", "failures in a row until then", "5", "circuit_breaker.failure_threshold"),
    Variable("PROVIDER_RECOVERY_TIMEOUT", "seconds until it is tried", "60.0", "circuit_breaker.recovery_timeout"),
    Variable("PROVIDER_FALLBACK_ENABLED", "whether others stand in where no one is named", "true", "fallback.enabled"),
    Variable("PROVIDER_FALLBACK_ORDER", "who, with commas", "openai,lmstudio", "fallback.order"),
)


def with_aliases(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment in which every DEVSYNTH_ name also stands as LLM_TESTER_, where that is not set itself."""
    named = dict(environment)
    for name, value in environment.items():
        new = PREFIX + name.removeprefix(OLD_PREFIX)
        if name.startswith(OLD_PREFIX) and not environment.get(new):
            named[new] = value
    return named


def value_of(environment: Mapping[str, str], name: str) -> str:
    """The value of a variable under its name, else under its older one; empty where neither is set."""
    older = OLD_PREFIX + name.removeprefix(PREFIX) if name.startswith(PREFIX) else name
    return (environment.get(name) or environment.get(older) or "").strip()


def truth(environment: Mapping[str, str], name: str) -> bool | None:
    """What a variable says, None where it is not set; raises ConfigurationError for what is neither yes nor no."""
    said = value_of(environment, name).lower()
    if said and said not in _WORDS:
        raise ConfigurationError(f'{name} is "{said}": expected true or false', hint="Correct or unset it.")
    return _WORDS.get(said)


def is_on(environment: Mapping[str, str], name: str) -> bool:
    """Whether a variable says yes."""
    return truth(environment, name) is True
