"""The workspace: the folder with our config.json, what that file may say, and the environment with its .env."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator

from llm_tester.catalogue import ProviderOverride, TLSSettings
from llm_tester.documents import Document, read_json, read_text, validate
from llm_tester.environment import truth, with_aliases
from llm_tester.errors import ConfigurationError

CONFIG_NAME = "config.json"
LEDGER_PATH = Path(".llm_tester") / "ledger.sqlite3"


Money = Annotated[Decimal, Field(ge=0, lt=1_000_000_000, allow_inf_nan=False, decimal_places=12)]


class BudgetLimit(Document):
    """At most so many dollars, of all calls or of those of a project or a provider, in a UTC day or month."""

    usd: Money
    """USD."""
    per: Literal["day", "month"]
    """The UTC day or month that it is for."""
    project: str | None = Field(default=None, min_length=1)
    """Only the calls of this project; of all where absent."""
    provider: str | None = None
    """Only the calls to this provider; to all where absent."""


class EntrantConfig(Document):
    """What is compared: a model with its parameters and prompt variant, under a name."""

    name: str | None = None
    """The name in reports; the model's where absent."""
    model: str = Field(min_length=1)
    """provider:model."""
    parameters: dict[str, Any] = Field(default_factory=dict)
    """Parameters that win over the task's."""
    prompt: str | None = None
    """The name of one of the task's prompt variants."""


def _from_model(value: Any) -> Any:
    return {"model": value} if isinstance(value, str) else value


class RunDefaults(Document):
    """What `run` does where the command line says nothing."""

    tasks: tuple[str, ...] = ()
    """Names or folders of tasks."""
    entrants: tuple[
        Annotated[EntrantConfig, BeforeValidator(_from_model, json_schema_input_type=EntrantConfig | str)], ...
    ] = ()
    """Models, or entrants with parameters."""
    project: str | None = None
    """The label under which calls are billed; the workspace folder's name where absent."""
    max_connections: Annotated[int, Field(gt=0, le=1024)] | None = None
    """How many calls may be in flight at once to one provider; the provider's own number where absent."""
    seed: int = 0
    """Seeds the order in which samples are run."""
    epochs: int = Field(default=1, ge=1, le=1000)
    """How often each sample is asked."""
    canary: bool = True
    """Whether one call tries each entrant before its first sample, so that a bad key costs one call."""
    max_outage: float = Field(default=600, gt=0, allow_inf_nan=False)
    """After how many seconds without one good answer from an entrant that keeps failing a run stops, to be resumed."""
    budget: Money | None = None
    """At most so many USD for a run; it stops, and can go on, before a call that could cost more than what is left."""


class RetrySettings(Document):
    """How failed calls are tried again; delays in seconds."""

    max_retries: Annotated[int, Field(ge=0, le=100)] = 3
    """Tries after the first."""
    initial_delay: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1.0
    """The wait before the first retry."""
    exponential_base: Annotated[float, Field(ge=1, le=1000)] = 2.0
    """By what the wait grows each time."""
    max_delay: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 60.0
    """The longest wait."""
    jitter: bool = True
    """Whether a wait is drawn between 0 and its full length."""


class CircuitBreakerSettings(Document):
    """When a model that keeps failing is left alone, and for how long."""

    enabled: bool = True
    """Whether it is."""
    failure_threshold: Annotated[int, Field(ge=1, le=10_000)] = 5
    """Failures in a row after which it is left alone; more where more calls were under way."""
    recovery_timeout: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 60.0
    """Seconds until one call may try again."""


class FallbackSettings(Document):
    """Which providers stand in for one that fails."""

    enabled: bool = True
    """Whether others stand in; otherwise the first of the order is the only one."""
    order: Annotated[tuple[str, ...], Field(min_length=1)] = ("openai", "lmstudio")
    """Providers, the first choice first."""
    chains: dict[
        Annotated[str, Field(pattern=r"^[^\s:/]+$")],
        Annotated[tuple[Annotated[str, Field(pattern="^[^:/]+[:/].+")], ...], Field(min_length=1)],
    ] = Field(default_factory=dict)
    """Models that stand behind each other, by the name under which a run asks them: -m chain:NAME."""


class CacheSettings(Document):
    """Whether runs give answers again that were bought before."""

    enabled: bool = False
    """Whether runs do that without --cache."""
    ttl: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 86_400
    """For how many seconds an answer may be given again."""


class Settings(Document):
    """The workspace's config.json. Everything has a default."""

    schema_: str | None = Field(default=None, alias="$schema")
    """The JSON Schema of this file, for editors."""
    providers: dict[str, ProviderOverride] = Field(default_factory=dict)
    """Providers to enable, disable or extend, by name."""
    run: RunDefaults = Field(default_factory=RunDefaults)
    """Defaults of `run`."""
    retry: RetrySettings = Field(default_factory=RetrySettings)
    """How failed calls are tried again."""
    circuit_breaker: CircuitBreakerSettings = Field(default_factory=CircuitBreakerSettings)
    """When a model that keeps failing is left alone."""
    fallback: FallbackSettings = Field(default_factory=FallbackSettings)
    """Which providers stand in for one that fails, where a call names none."""
    cache: CacheSettings = Field(default_factory=CacheSettings)
    """Whether, and for how long, answers are given again."""
    budgets: tuple[BudgetLimit, ...] = ()
    """Limits that all runs of the workspace share, such as {"usd": "5", "per": "day", "provider": "openai"}."""
    on_unsupported: Literal["error", "warn", "drop"] = "warn"
    """What happens when a model does not take a parameter as it is asked for: nothing is sent, or it is left out or
    renamed, with a note or with a word in the response only."""
    tls: TLSSettings | None = None
    """How servers are trusted; paths start at the workspace. TLS_VERIFY, TLS_CA_FILE and their like win over it."""

    @field_validator("providers", mode="before")
    @classmethod
    def _known_shape(cls, value: Any) -> Any:
        if isinstance(value, list):
            message = 'expected an object with a provider\'s name as key, such as {"openai": {"enabled": true}}'
            raise ValueError(message)
        return value


@dataclass(frozen=True, slots=True)
class Workspace:
    """A folder with a config.json of ours; without one (`root` is None) only what is built in can be used."""

    root: Path | None
    settings: Settings = field(default_factory=Settings)
    environment: Mapping[str, str] = field(default_factory=dict)
    from_dotenv: frozenset[str] = frozenset()
    """The variables whose value is that of the .env beside config.json."""

    @classmethod
    def open(cls, root: Path, environment: Mapping[str, str] | None = None) -> Workspace:
        """The workspace at `root`; raises ConfigurationError when its config.json cannot be used."""
        file = root / CONFIG_NAME
        if not file.is_file():
            raise ConfigurationError(
                f"{root} is not a workspace: it has no {CONFIG_NAME}",
                hint=f"`llm-tester init {root}` makes one.",
                file=str(file),
            )
        data = read_json(file)
        real = with_aliases(os.environ if environment is None else environment)
        said = _dotenv(root)
        settings = validate(Settings, data, file=str(file))
        return cls(root.resolve(), settings, said | real, frozenset(said) - frozenset(real))

    @classmethod
    def find(cls, start: Path, environment: Mapping[str, str], named: str | None = None) -> Workspace:
        """The workspace that `named` or LLM_TESTER_WORKSPACE points at, else the nearest at or above `start`.

        Where there is none the result has no root.
        """
        environment = with_aliases(environment)
        chosen = named or environment.get("LLM_TESTER_WORKSPACE")
        if chosen:
            return cls.open(Path(chosen), environment)
        here = start.absolute()
        for folder in (here, *here.parents):
            if _is_workspace(folder):
                return cls.open(folder, environment)
        return cls(None, Settings(), environment)

    def require_root(self) -> Path:
        """The folder; raises ConfigurationError outside a workspace."""
        if self.root is None:
            raise ConfigurationError(
                "this is not a workspace: no config.json of llm-tester here or in a folder above",
                hint="`llm-tester init` makes a workspace here; `llm-tester demo` shows the tool on simulated models.",
            )
        return self.root

    @property
    def ledger_path(self) -> Path:
        """Where the durable record of runs is."""
        return self.require_root() / LEDGER_PATH

    @property
    def reports_path(self) -> Path:
        """Where reports are written; raises ConfigurationError when a file stands in the folder's place."""
        path = self.require_root() / "reports"
        if path.exists() and not path.is_dir():
            raise ConfigurationError(
                f"{path} is a file, but reports are written into a folder of that name",
                hint="Move the file away.",
                file=str(path),
            )
        return path

    @property
    def project(self) -> str:
        """The label under which calls are billed."""
        chosen = self.environment.get("LLM_TESTER_PROJECT") or self.settings.run.project
        return chosen or (self.root.name if self.root else "") or "default"

    def tls(self, of_provider: TLSSettings | None) -> TLSSettings:
        """The TLS settings of a provider in this workspace: environment, its own ones, those of config.json."""
        ours = self.settings.tls and self.settings.tls.below(self.root or Path.cwd())
        theirs = of_provider.over(ours) if of_provider else ours
        return _tls_of(self.environment).over(theirs)


def _tls_of(environment: Mapping[str, str]) -> TLSSettings:
    files = {name: environment.get(f"TLS_{name.upper()}") or None for name in ("cert_file", "key_file", "ca_file")}
    return TLSSettings(verify=truth(environment, "TLS_VERIFY"), **files)


def _is_workspace(folder: Path) -> bool:
    """A config.json alone could be anybody's: ours has one of our keys, or stands beside one of our folders."""
    file = folder / CONFIG_NAME
    if not file.is_file():
        return False
    if any((folder / name).is_dir() for name in ("tasks", "providers", LEDGER_PATH.parent.name)):
        return True
    text = read_text(file)
    return not text.strip("{} \r\n\t") or any(f'"{key}"' in text for key in ("providers", "run"))


def _dotenv(root: Path) -> dict[str, str]:
    """What the .env beside config.json says."""
    file = root / ".env"
    if not file.is_file():
        return {}
    from dotenv import dotenv_values

    said = dotenv_values(stream=io.StringIO(read_text(file)))
    return with_aliases({key: value for key, value in said.items() if value is not None})
