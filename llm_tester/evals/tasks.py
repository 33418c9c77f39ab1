"""Task folders: task.json, samples, prompt, output schema and scorer, read and checked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from jinja2 import StrictUndefined, Template, TemplateError, meta
from jinja2.sandbox import SandboxedEnvironment
from pydantic import Field

from llm_tester.config import Workspace
from llm_tester.documents import Document, read_json, read_text, validate
from llm_tester.errors import ConfigurationError, LLMTesterError, TaskError, suggestion
from llm_tester.evals.cells import Cells
from llm_tester.evals.datasets import FieldMap, SamplesConfig, read_samples
from llm_tester.evals.layout import LAYOUT_FILE, is_layout, layout_config, layout_name
from llm_tester.evals.output import Output, OutputConfig, load_output
from llm_tester.evals.rows import encoding_note
from llm_tester.evals.samples import Answer, Sample, Score, ScoreContext, Scorer
from llm_tester.evals.scorers import AnyScorer, JsonSchemaScorer, PythonScorer
from llm_tester.evals.scorers.function import LoadedFunction
from llm_tester.llms.provider_factory import builtin_folder
from llm_tester.records import Message, chat, digest

TASK_FILE = "task.json"
DEFAULT_VARIANT = ""
DEFAULT_NAME = "default"
"""What the task's own prompt is called where no variant has that name."""


class PromptFile(Document):
    """A prompt in a file of its own."""

    file: str
    """The file's name, relative to the task's folder."""


class TaskConfig(Document):
    """A task's task.json."""

    schema_: str | None = Field(default=None, alias="$schema")
    """The JSON Schema of this file, for editors."""
    name: str = Field(min_length=1, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """The task's name."""
    description: str = ""
    """What the task asks, in a line."""
    system_prompt: str | None = None
    """Sent before the prompt; the provider's own where absent."""
    prompt: str | PromptFile
    """A Jinja2 text with {{ input }}, or the file that holds it."""
    prompts: dict[str, str | PromptFile] = Field(default_factory=dict)
    """Variants of the prompt, by name, for entrants to use."""
    samples: str | SamplesConfig = "samples.jsonl"
    """The samples: a .jsonl, .csv or .tsv file, a folder, or one of them with how it is read."""
    fields: FieldMap = FieldMap()
    """Which columns of the samples hold what, where they have names of their own."""
    output: OutputConfig | None = None
    """What the answer should look like."""
    scorer: AnyScorer
    """How answers are scored."""
    parameters: dict[str, Any] = Field(default_factory=dict)
    """Parameters sent with each call, such as temperature."""


@dataclass(frozen=True)
class Task:
    """A loaded task."""

    folder: Path
    config: TaskConfig
    output: Output | None
    prompts: Mapping[str, str]
    scorer: Scorer
    _templates: dict[str, Template] = field(default_factory=dict, repr=False)

    @classmethod
    def load(cls, folder: Path) -> Task:
        """The task in `folder`; raises TaskError that lists every mistake in its task.json.

        A folder without one may be in the LLM Tester layout.
        """
        try:
            return (
                _from_file(folder) if (folder / TASK_FILE).exists() or not is_layout(folder) else _from_layout(folder)
            )
        except ConfigurationError as error:
            raise TaskError(error.message, hint=error.hint) from None

    @classmethod
    def of(cls, folder: Path, config: TaskConfig, output: Output | None, file: Path) -> Task:
        """The task that `config`, read from `file`, describes; raises TaskError for a prompt that cannot be used."""
        prompts = {DEFAULT_VARIANT: config.prompt, **config.prompts}
        texts = {name: _prompt_text(prompt, folder) for name, prompt in prompts.items()}
        task = cls(folder.resolve(), config, output, texts, _scorer(config, folder, output, file))
        for variant, text in texts.items():
            task._templates[variant] = _template(text, variant, file)
        return task

    @property
    def name(self) -> str:
        """The task's name."""
        return self.config.name

    @property
    def context(self) -> ScoreContext:
        """What its scorer may use."""
        return ScoreContext(self.output)

    @property
    def scores_at_once(self) -> bool:
        """Whether its scorer waits for nothing, neither for a model nor for a thread."""
        return not isinstance(self.scorer, LoadedFunction)

    @property
    def samples_file(self) -> Path:
        """Where its samples stand."""
        return self.folder / self._samples.file

    @property
    def _samples(self) -> SamplesConfig:
        given = self.config.samples
        return SamplesConfig(file=given) if isinstance(given, str) else given

    def notes(self) -> list[str]:
        """What about the task is not wrong and may not be meant."""
        found = []
        if self.name != layout_name(self.folder):
            found.append(f'the task is called "{self.name}", and its folder "{self.folder.name}", by which it is found')
        doubt = encoding_note(self.samples_file, self._samples.encoding)
        return [*found, doubt] if doubt else found

    @cached_property
    def hash(self) -> str:
        """64 hex characters that name all that decides on questions and scores, but for the samples."""
        spec = self.config.model_dump(mode="json", include={"system_prompt", "scorer", "parameters"})
        content = [spec, dict(self.prompts), self.output.fingerprint if self.output else None]
        code = getattr(self.scorer, "fingerprint", None)
        return digest(content if code is None else [*content, code])

    def spec(self) -> dict[str, Any]:
        """What the ledger keeps of the task."""
        spec = self.config.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        # A scorer's type is the default of its class, and says which class it is.
        spec["scorer"] = {"type": self.config.scorer.type} | spec["scorer"]
        return spec | {"prompts": dict(self.prompts), "json_schema": self.output and dict(self.output.json_schema)}

    def samples(self) -> Iterator[Sample]:
        """Its samples, streamed and checked; raises TaskError that names file and line or sample."""
        schema = self.output.json_schema if self.output else None
        how = self._samples
        loose = self.config.scorer.type == "fields"
        cells = Cells(how.types, schema, loose=loose, decimal_mark=how.decimal_mark)
        return read_samples(self.samples_file, self.config.fields, how, cells)

    def check_gold(self, sample: Sample) -> None:
        """Raise TaskError when the sample's target cannot be a right answer to this task."""
        try:
            self.scorer.check_target(sample.target)
        except TaskError as error:
            raise TaskError(f"{self._place_of(sample)}: {error.message}", hint=error.hint) from None
        problems = self.output.problems(sample.target) if self.output else []
        if problems:
            raise TaskError(
                f"{self._place_of(sample)}: the target breaks the output schema: {'; '.join(problems[:3])}",
                hint="Mend the target or the schema.",
            )

    def _place_of(self, sample: Sample) -> str:
        return f'{sample.where or self.samples_file}: sample "{sample.id}"'

    def messages(self, sample: Sample, variant: str = DEFAULT_VARIANT) -> tuple[Message, ...]:
        """The turns that ask for this sample; a sample's own prompt is literal text before its input.

        Of an input that is a conversation, the prompt is put around the last turn, and the turns before it stay.
        """
        *before, last = sample.turns or (Message("user", sample.input),)
        if sample.prompt is not None:
            text = f"{sample.prompt}\n\n{last.content}"
        else:
            text = self._rendered(sample, last.content, variant)
        own = [turn.content for turn in before if turn.role == "system"]
        system = "\n\n".join(filter(None, [self.config.system_prompt, *own]))
        *opening, question = chat(text, system)
        return (*opening, *(turn for turn in before if turn.role != "system"), question)

    def _rendered(self, sample: Sample, text: str, variant: str) -> str:
        template = self.template(variant)
        try:
            return template.render(input=text, id=sample.id, metadata=sample.metadata)
        except Exception as error:  # a template can divide by zero, and so on
            problem = error.message if isinstance(error, TemplateError) else f"{type(error).__name__}: {error}"
            raise TaskError(f'{self.folder / TASK_FILE}: prompt, sample "{sample.id}": {problem}') from error

    def template(self, variant: str) -> Template:
        """The prompt of that name; raises ConfigurationError with near names."""
        if variant == DEFAULT_NAME and variant not in self._templates:
            variant = DEFAULT_VARIANT
        if variant not in self._templates:
            raise ConfigurationError(
                f'the task "{self.name}" has no prompt "{variant}"',
                hint=suggestion(variant, {*self.config.prompts, DEFAULT_NAME}),
            )
        return self._templates[variant]

    async def score(self, sample: Sample, answer: Answer) -> Score:
        """The verdict of the task's scorer."""
        return await self.scorer.score(sample, answer, self.context)


def _from_file(folder: Path) -> Task:
    file = folder / TASK_FILE
    config = validate(TaskConfig, read_json(file), file=str(file), error=TaskError)
    output = load_output(config.output, folder, config.name) if config.output else None
    return Task.of(folder, config, output, file)


def _from_layout(folder: Path) -> Task:
    file, name = folder / LAYOUT_FILE, layout_name(folder)
    output = load_output(OutputConfig(model=LAYOUT_FILE), folder, name)
    config = validate(TaskConfig, layout_config(name, output.json_schema), file=str(file), error=TaskError)
    return Task.of(folder, config, output, file)


def _scorer(config: TaskConfig, folder: Path, output: Output | None, file: Path) -> Scorer:
    """The scorer with what it needs of the task: a function's code, an output schema."""
    try:
        if isinstance(config.scorer, PythonScorer):
            return config.scorer.load(folder, config.name)
        if isinstance(config.scorer, JsonSchemaScorer):
            config.scorer.check_output(output)
    except TaskError as error:
        raise TaskError(f"{file}: scorer: {error.message}", hint=error.hint) from None
    return config.scorer


def _prompt_text(prompt: str | PromptFile, folder: Path) -> str:
    return prompt if isinstance(prompt, str) else read_text(folder / prompt.file)


def _template(text: str, variant: str, file: Path) -> Template:
    environment = SandboxedEnvironment(undefined=StrictUndefined, keep_trailing_newline=True)
    place = f"{file}: prompts.{variant}" if variant else f"{file}: prompt"
    try:
        used = meta.find_undeclared_variables(environment.parse(text))
        template = environment.from_string(text)
    except TemplateError as error:
        raise TaskError(f"{place}: not a Jinja2 template: {error.message}") from None
    unknown = sorted(used - {"input", "id", "metadata"} - set(environment.globals))
    if unknown:
        raise TaskError(
            f'{place}: there is no "{unknown[0]}" to fill in', hint="A prompt may use input, id and metadata."
        )
    if "input" not in used:
        raise TaskError(f"{place}: {{{{ input }}}} does not stand in it", hint="Say where the sample's input goes.")
    # Each rendering copies them, which of Jinja2's chain of maps takes longer than the rendering.
    template.globals = dict(template.globals)
    return template


@dataclass(frozen=True, slots=True)
class FoundTask:
    """A task folder, loaded, or why it is broken."""

    name: str
    folder: Path
    source: str
    task: Task | None = None
    problem: LLMTesterError | None = None


def is_task(folder: Path) -> bool:
    """Whether a folder is a task: with a task.json, or in the LLM Tester layout."""
    return (folder / TASK_FILE).is_file() or is_layout(folder)


def find_tasks(workspace: Workspace) -> dict[str, FoundTask]:
    """Every task by folder name, the workspace's before the shipped ones."""
    return {name: _found(folder, source) for name, (folder, source) in _folders(workspace).items()}


def _folders(workspace: Workspace) -> dict[str, tuple[Path, str]]:
    """The folders of all tasks by name, and where they come from; none of them is read."""
    places = [("built in", builtin_folder("tasks"))]
    if workspace.root is not None:
        places.insert(0, ("workspace", workspace.root / "tasks"))
    found: dict[str, tuple[Path, str]] = {}
    for source, parent in places:
        for folder in sorted(parent.iterdir()) if parent.is_dir() else ():
            if is_task(folder):
                found.setdefault(folder.name, (folder, source))
    return found


def _found(folder: Path, source: str) -> FoundTask:
    try:
        return FoundTask(folder.name, folder, source, Task.load(folder))
    except LLMTesterError as problem:
        return FoundTask(folder.name, folder, source, problem=problem)


def load_task(named: str, workspace: Workspace) -> Task:
    """The task of that name, or in that folder; raises TaskError with near names. No other one's code is run."""
    folder = Path(named)
    if len(folder.parts) > 1 or is_task(folder):
        if not is_task(folder):
            raise TaskError(
                f"{folder}: there is no {TASK_FILE} in this folder", hint="`llm-tester tasks new` makes one."
            )
        return Task.load(folder)
    folders = _folders(workspace)
    if named not in folders:
        raise TaskError(f'there is no task "{named}"', hint=suggestion(named, folders))
    return Task.load(folders[named][0])
