"""New tasks out of people's own files: the scorer, the output schema and the prompt follow what stands in them."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from llm_tester.config import Workspace
from llm_tester.documents import validate
from llm_tester.errors import ConfigurationError, TaskError, suggestion
from llm_tester.evals.cells import Cells
from llm_tester.evals.checking import check_task
from llm_tester.evals.datasets import ALIASES, KNOWN, FieldMap, SamplesConfig, read_samples
from llm_tester.evals.output import SchemaOutput
from llm_tester.evals.profiles import Profile, listed
from llm_tester.evals.rows import Row, column_names, encoding_note, is_csv, missing_column
from llm_tester.evals.scaffold import task_folder, writing
from llm_tester.evals.scorers import SCORERS
from llm_tester.evals.scorers.numbers import DecimalMark
from llm_tester.evals.tasks import TASK_FILE, Task, TaskConfig, is_task

SCHEMA_FILE = "schema.json"
_OF_OBJECTS = ("fields", "json_schema")


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody wants of a new task; for a folder, `input` and `target` are folders in it."""

    source: Path
    input: str | None = None
    target: tuple[str, ...] = ()
    id: str | None = None
    scorer: str | None = None
    prompt: str | None = None
    encoding: str | None = None


@dataclass(frozen=True, slots=True)
class MadeTask:
    """A task that was made: where, of how many samples, how scored, and what its maker should know."""

    folder: Path
    samples: int
    scorer: str
    notes: tuple[str, ...]


@dataclass
class _Survey:
    """What was seen in a pass over the samples."""

    profile: Profile
    count: int = 0
    longest: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    first: dict[str, str] = field(default_factory=dict)

    def skip(self, why: str, row: Row) -> None:
        self.left_out[why] += 1
        self.first.setdefault(why, row.where)


def draft_task(name: str, workspace: Workspace, wish: Wish) -> MadeTask:
    """Make a task in the workspace of the samples in a file or folder, which are copied.

    Raises TaskError or ConfigurationError, and leaves nothing behind, when it would not pass its check.
    """
    folder = task_folder(name, workspace)
    _require_scorer(wish.scorer)
    _require_one_target(wish)
    columns, samples = _columns(wish)
    survey = _survey(wish.source, columns, samples)
    mark = _decimal_mark(survey.profile)
    samples = samples.model_copy(update={"skip": tuple(sorted(survey.left_out)), "decimal_mark": mark})
    schema = survey.profile.schema() if survey.profile.structured else None
    described = _config(name, wish, columns, survey)
    _prove(described, samples, schema, wish.source)
    copy = "samples" if wish.source.is_dir() else f"samples{wish.source.suffix.lower()}"
    kept = samples.model_dump(mode="json", exclude_defaults=True) | {"file": copy}
    described["samples"] = kept if len(kept) > 1 else copy
    _write(folder, wish.source, copy, samples, {TASK_FILE: described, SCHEMA_FILE: schema})
    return MadeTask(folder, survey.count, described["scorer"]["type"], tuple(_notes(wish, survey, described)))


def _require_scorer(named: str | None) -> None:
    if named is not None and named not in SCORERS:
        raise ConfigurationError(f'there is no scorer "{named}"', hint=suggestion(named, SCORERS))


def _require_one_target(wish: Wish) -> None:
    if len(wish.target) > 1 and wish.scorer not in (None, *_OF_OBJECTS):
        raise ConfigurationError(
            f'the scorer "{wish.scorer}" takes one target, and {len(wish.target)} are named',
            hint=f"Name one --target, or leave --scorer away: several are scored by {_OF_OBJECTS[0]}.",
        )


def _columns(wish: Wish) -> tuple[FieldMap, SamplesConfig]:
    source = wish.source
    if source.is_dir():
        if is_task(source):
            raise ConfigurationError(
                f"{source}: is a task as it stands", hint=f"Try it: llm-tester tasks check {source}"
            )
        if wish.id or len(wish.target) > 1:
            raise ConfigurationError(
                f"{source}: is a folder: its files have names and no columns",
                hint="Leave --id away; --input and --target name folders in it.",
            )
        inside = next(iter(wish.target), None)
        return FieldMap(), SamplesConfig(file=str(source), encoding=wish.encoding, inputs=wish.input, targets=inside)
    if not source.exists():
        raise ConfigurationError(
            f"{source}: there is no such file or folder", hint="--from names it, from the folder that you are in."
        )
    given = [name for name in (wish.id, wish.input, *wish.target) if name is not None]
    readable = is_csv(source) or source.suffix.lower() == ".jsonl"
    names = column_names(source, wanted=given, encoding=wish.encoding) if readable else []
    samples = SamplesConfig(file=str(source), encoding=wish.encoding)
    for column in given if names else ():
        if column not in names:
            raise missing_column(column, names, str(source))
    text = wish.input or _usual(names, "input", source)
    target: str | tuple[str, ...] = wish.target[0] if len(wish.target) == 1 else wish.target
    target = target or _usual(names, "target", source)
    if not given and set(names) <= KNOWN:
        return FieldMap(), samples
    return FieldMap(id=wish.id, input=text, target=target), samples


def _usual(names: list[str], role: str, source: Path) -> str:
    for name in ALIASES[role]:
        if name in names or not names:
            return name
    listed = ", ".join(map(repr, names[:40]))
    raise ConfigurationError(
        f"{source}: which column holds the {role}?", hint=f"Say --{role} COLUMN. The columns are: {listed}."
    )


def _survey(source: Path, columns: FieldMap, samples: SamplesConfig) -> _Survey:
    survey = _Survey(Profile(textual=source.is_dir() or is_csv(source)))
    lenient = samples.model_copy(update={"skip": ("duplicates", "empty")})
    for sample in read_samples(source, columns, lenient, Cells(loose=True), left_out=survey.skip):
        survey.profile.add(sample.target)
        survey.count += 1
        survey.longest = max(survey.longest, len(str(sample.target)))
    return survey


def _decimal_mark(profile: Profile) -> DecimalMark:
    """A comma where cells show it; where others have a point, those with a comma stay texts."""
    parts = profile.parts.values()
    commas = [part for part in parts if part.comma_cells]
    if commas and any(part.decimal_points for part in parts):
        for part in commas:
            part.keep_commas_as_text()
        return "."
    return "," if commas else "."


def _config(name: str, wish: Wish, columns: FieldMap, survey: _Survey) -> dict[str, Any]:
    profile = survey.profile
    scorer = wish.scorer or _scorer(profile)
    rules = {"fields": dict(profile.rules())} if scorer == "fields" else {}
    choices = {"choices": profile.options} if scorer == "choice" and profile.options else {}
    mark = {"decimal_mark": ","} if scorer == "numeric" and profile.decimal_commas else {}
    prompt = _with_input(wish.prompt) if wish.prompt else f"{_literal(_question(profile, scorer))}\n\n{{{{ input }}}}"
    found: dict[str, Any] = {
        "name": name,
        "description": f"{survey.count:,} samples of {wish.source.name}",
        "prompt": prompt,
        "samples": str(wish.source),
        "fields": columns.model_dump(mode="json", exclude_defaults=True),
        "output": {"schema": SCHEMA_FILE} if profile.structured else None,
        "scorer": {"type": scorer} | {key: value for key, value in (rules | choices | mark).items() if value},
        "parameters": {"temperature": 0, "max_tokens": _max_tokens(scorer, survey.longest)},
    }
    return {key: value for key, value in found.items() if value}


def _scorer(profile: Profile) -> str:
    if profile.structured:
        return "fields"
    if profile.numeric:
        return "numeric"
    return "choice" if profile.options else "exact"


def _question(profile: Profile, scorer: str) -> str:
    if profile.parts:
        keys = "\n".join(f"- {key}: {part.described()}" for key, part in profile.parts.items())
        return f"Read the text below. Answer with one JSON object only, with exactly these keys:\n{keys}"
    if profile.structured:
        return "Read the text below. Answer with JSON only."
    if profile.few_labels:
        return f"Answer with one of these, and nothing else: {listed(profile.few_labels)}."
    if scorer == "numeric":
        return "Work it out, then give the result on a last line of the form\nAnswer: <number>"
    return "Answer with the answer only, without any explanation."


def _literal(text: str) -> str:
    """`text` for a template: what looks like one of its marks stays as it is."""
    marks = any(mark in text for mark in ("{{", "{%", "{#"))
    return f"{{% raw %}}{text}{{% endraw %}}" if marks else text


def _with_input(prompt: str) -> str:
    return prompt if "{{" in prompt else f"{prompt}\n\n{{{{ input }}}}"


def _max_tokens(scorer: str, longest: int) -> int:
    """Room for twice the longest gold at two letters a token, and for the way to a number."""
    room = 400 if scorer == "numeric" else 100
    return max(room, -(-longest // 100) * 100)


def _prove(described: Mapping[str, Any], samples: SamplesConfig, schema: Any, source: Path) -> None:
    document = {**described, "samples": samples.model_dump(mode="json", exclude_defaults=True)}
    document["samples"]["file"] = str(source.resolve())
    config = validate(TaskConfig, document, file=TASK_FILE, error=TaskError)
    output = None if schema is None else SchemaOutput(schema, Path(SCHEMA_FILE))
    found = check_task(Task.of(source.resolve().parent, config, output, Path(TASK_FILE)))
    if not found.passed:
        sample_id, score = found.imperfect[0]
        raise TaskError(
            f'{source}: with the scorer "{config.scorer.type}" the target of "{sample_id}" scores {score:.3f} '
            f"against itself, and {len(found.imperfect) - 1} others do not score 1 either",
            hint="Name another --scorer, or mend the targets.",
        )


def _write(folder: Path, source: Path, copy: str, samples: SamplesConfig, files: Mapping[str, Any]) -> None:
    with writing(folder):
        folder.mkdir(parents=True)
        try:
            _copy(source, folder / copy, samples)
            for name, content in files.items():
                if content is not None:
                    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
                    (folder / name).write_text(text, "utf-8")
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise


def _copy(source: Path, to: Path, samples: SamplesConfig) -> None:
    if not source.is_dir():
        shutil.copyfile(source, to)
        return
    for part in {samples.inputs or ".", samples.targets or samples.inputs or "."}:
        (to / part).mkdir(parents=True, exist_ok=True)
        for file in (source / part).iterdir():
            if file.is_file() and not file.name.startswith("."):
                shutil.copyfile(file, to / part / file.name)


_WHY = {"duplicates": "say the same as an earlier one", "empty": "have no input or no target"}


def _notes(wish: Wish, survey: _Survey, described: Mapping[str, Any]) -> list[str]:
    notes = [
        f'samples that {_WHY[why]} are left out ("skip" in {TASK_FILE}): {count:,}, the first is {survey.first[why]}'
        for why, count in sorted(survey.left_out.items())
    ]
    doubt = encoding_note(wish.source, wish.encoding)
    notes += [doubt] if doubt else []
    notes += _comma_notes(survey.profile, described["scorer"])
    for key, part in survey.profile.parts.items():
        if part.ambiguous_dates:
            notes.append(
                f'"{key}" holds dates of which day and month cannot be told apart: they are compared as texts. '
                f'A rule {{"type": "date", "day_first": true}} in {TASK_FILE} compares them as dates'
            )
    if described["scorer"]["type"] == "exact" and survey.profile.longest > 100:
        notes.append("the targets are long texts, which an answer will rarely match to the letter")
    return notes


def _comma_notes(profile: Profile, scorer: Mapping[str, Any]) -> Iterator[str]:
    if "decimal_mark" in scorer:
        yield f'the targets have decimal commas: the scorer reads 1.262,40 as 1262.4 ("decimal_mark" in {TASK_FILE})'
    for key, part in profile.parts.items():
        if part.comma_cells:
            yield (
                f'"{key}" holds numbers with a decimal comma: 1.262,40 is read as 1262.4 '
                f'("decimal_mark" of the samples in {TASK_FILE})'
            )
        elif part.decimal_commas:
            yield (
                f'"{key}" holds texts of numbers with a decimal comma, which stay texts and are compared as numbers '
                f'("decimal_mark" of its rule in {TASK_FILE})'
            )
