"""Samples from folders of files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from llm_tester.errors import TaskError
from llm_tester.evals.datasets import FieldMap, SamplesConfig, read_samples
from llm_tester.evals.samples import Sample

if TYPE_CHECKING:
    from tests.evals.conftest import Bench


def filled(folder: Path, **files: str | bytes) -> Path:
    """`a__md="x"` is the file a.md, `in___a__md` the file in/a.md."""
    for name, content in files.items():
        file = folder / name.replace("___", "/").replace("__", ".")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def read(folder: Path, **options: Any) -> list[Sample]:
    config = SamplesConfig.model_validate({"file": str(folder), **options})
    return list(read_samples(folder, FieldMap(), config))


def refused(folder: Path, **options: Any) -> str:
    with pytest.raises(TaskError) as raised:
        read(folder, **options)
    return raised.value.message


def test_a_target_stands_beside_its_input(tmp_path: Path) -> None:
    folder = filled(
        tmp_path, b__txt="two\n", b__json='{"n": 2}', a__md=b"\xef\xbb\xbfone", a__txt=" 1\n", __DS_Store=""
    )
    assert read(folder) == [Sample("a", "one", "1"), Sample("b", "two\n", {"n": 2})]


def test_targets_and_prompts_may_have_folders_of_their_own(tmp_path: Path) -> None:
    folder = filled(tmp_path, in___a__eml="x", gold___a__txt="1", ask___a__txt="Why?\n", ask___more___b__txt="")
    assert read(folder, inputs="in", targets="gold", prompts="ask") == [Sample("a", "x", "1", "Why?")]
    assert read(folder, inputs="in", targets="gold") == [Sample("a", "x", "1")]
    assert [sample.id for sample in read(filled(tmp_path / "side", a__eml="x", gold___a__txt="1"), targets="gold")] == [
        "a"
    ]
    assert [sample.id for sample in read(filled(tmp_path / "deep", in___a__eml="x", in___a__txt="1"), inputs="in")] == [
        "a"
    ]


def test_texts_are_read_in_the_encoding_that_is_named(tmp_path: Path) -> None:
    folder = filled(tmp_path, a__md="Ünï".encode("cp1252"), a__txt="é".encode("cp1252"))
    assert read(folder, encoding="cp1252") == [Sample("a", "Ünï", "é")]
    assert "a.md:1: not UTF-8 text" in refused(folder)


def test_a_text_target_follows_the_output_schema(bench: Bench) -> None:
    filled(bench.root / "tasks/t/cases", a__md="x", a__txt="4.0", b__md="y", b__txt="7")
    bench.write("tasks/t/schema.json", {"type": "integer"})
    config = {"name": "t", "prompt": "{{ input }}", "samples": "cases", "output": {"schema": "schema.json"}}
    bench.write("tasks/t/task.json", {**config, "scorer": {"type": "numeric"}})
    checked = bench.cli("tasks", "check", "t")
    assert checked.code == 0, checked
    assert "t: 2 samples." in checked.out


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"a__md": "x"}, "a.md has no target ({folder}/a.json or .txt)"),
        ({"a__txt": "x"}, "a.txt has no target ({folder}/a.json or .txt)"),
        ({"a__json": "1"}, "a.json has no input (a file a.* in {folder})"),
        ({"a__md": "", "a__eml": ""}, 'which of the files named "a" is the input, and which the target? a.eml, a.md'),
        ({"a__md": "", "a__txt": "", "a__json": ""}, 'which of the files named "a"'),
        ({"a__md": "x", "a__json": "{"}, "a.json:1: not valid JSON"),
        ({"a__md": "x", "a__json": '"\\ud83d"'}, "a.json: holds half of a surrogate pair"),
        ({"a__md": "x", "a__json": "null"}, "a.md: the target is empty"),
        ({"a__md": "", "a__txt": "1"}, "a.md: the input is empty"),
        ({}, "holds no samples"),
    ],
)
def test_a_folder_that_cannot_be_samples_is_refused(tmp_path: Path, files: dict[str, str], said: str) -> None:
    assert said.format(folder=tmp_path) in refused(filled(tmp_path, **files))


def test_folders_that_do_not_fit_each_other_are_refused(tmp_path: Path) -> None:
    filled(tmp_path, in___a__eml="x", in___a__md="x", gold___a__xml="1", one___a__md="x")
    assert 'in/a.md: has the name "a" of a.eml' in refused(tmp_path, inputs="in", targets="gold")
    assert "gold/a.xml: a target is a .json or a .txt file" in refused(tmp_path, inputs="one", targets="gold")
    assert "/none: the folder cannot be read: No such file" in refused(tmp_path, inputs="one", targets="none")
