"""Scorers of one's own, through the program."""

from __future__ import annotations

import asyncio
import textwrap
from pathlib import Path
from typing import Any

import pytest

from llm_tester.errors import TaskError
from llm_tester.evals.samples import Answer, Outcome, Sample, ScoreContext
from llm_tester.evals.scorers.function import LoadedFunction, PythonScorer
from tests.evals.conftest import Bench

SCORE = """
from llm_tester.evals.samples import Score, Outcome
async def score(sample, answer, context): return Score(1, Outcome.CORRECT)
"""
ODD = """
class Odd:
    __signature__ = 1
    def __call__(self, answer, target): return 1
score = Odd()
"""


def load(folder: Path, code: str = "", named: str = "own:score", **options: Any) -> LoadedFunction:
    if code:
        (folder / "own.py").write_text(textwrap.dedent(code))
    return PythonScorer(type=f"python:{named}", **options).load(folder, "t")


def said(scorer: LoadedFunction, text: str = "4", target: Any = "4", finish: Any = "stop") -> Any:
    found = asyncio.run(scorer.score(Sample("s1", "2 + 2?", target), Answer(text, finish), ScoreContext()))
    return found.value, found.outcome


@pytest.mark.parametrize(
    "code",
    [
        "def score(answer, target): return answer == target",
        "async def score(answer, target): return 1",
        "import functools\n@functools.cache\ndef score(answer, target): return 1.0",
        "class score:\n    def __new__(cls, answer, target): return True",
        "def score(sample, answer, context): return sample.target == answer.text and context.respond is None",
        "def score(answer, target):\n    async def late(): return 1\n    return late()",
        "def score(*parts): return len(parts) == 3",
        "from fractions import Fraction\ndef score(answer, target): return Fraction(1)",
        SCORE,
    ],
)
def test_sync_async_plain_and_full_functions_score(tmp_path: Path, code: str) -> None:
    assert said(load(tmp_path, code)) == (1.0, Outcome.CORRECT)


@pytest.mark.parametrize(
    ("value", "outcome"), [("0.5", Outcome.PARTIAL), ("0", Outcome.WRONG), ("False", Outcome.WRONG)]
)
def test_a_number_is_the_score(tmp_path: Path, value: str, outcome: Outcome) -> None:
    assert said(load(tmp_path, f"def score(answer, target): return {value}")) == (float(eval(value)), outcome)  # noqa: S307


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("return None", "returned None"),
        ("return 2", "returned 2"),
        ("return float('nan')", "returned nan"),
        ("return '1'", "returned '1'"),
        ("return object", "returned <class 'object'>"),
        ("return answer.nothing", "AttributeError: 'str' object has no attribute 'nothing'"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("raise StopIteration", "StopIteration"),
    ],
)
@pytest.mark.parametrize("kind", ["def", "async def"])
def test_what_fails_in_it_is_told_with_file_function_and_sample(
    tmp_path: Path, kind: str, body: str, problem: str
) -> None:
    scorer = load(tmp_path, f"{kind} score(answer, target):\n    {body}")
    with pytest.raises(TaskError) as raised:
        said(scorer)
    assert raised.value.message.startswith(f'{tmp_path / "own.py"}: score: sample "s1": ')
    assert problem in raised.value.message or "StopIteration" in problem


def test_a_plain_function_sees_no_thoughts_and_nothing_undelivered(tmp_path: Path) -> None:
    scorer = load(tmp_path, "def score(answer, target): return answer == target")
    assert said(scorer, "<think>5</think>4") == (1.0, Outcome.CORRECT)
    assert said(scorer, "<think>5", finish=None) == (0.0, Outcome.TRUNCATED)
    assert said(scorer, finish="content_filter") == (0.0, Outcome.REFUSED)


@pytest.mark.parametrize(
    ("code", "named", "problem"),
    [
        ("", "own:score", "own: cannot be imported: ModuleNotFoundError"),
        ("", "missing.py:score", "missing.py: there is no such Python file"),
        ("x = 1", "own:score", "own.py: defines no score"),
        ("score = 1", "own:score", "score is no function but int"),
        ("def score(answer): return 1", "own:score", r"score\(answer\) takes other arguments"),
        ("def score(*, answer): return 1", "own:score", "takes other arguments"),
        ("import nothing_of_this_name", "own.py:score", "No module named 'nothing_of_this_name'"),
        ("import sys\nsys.exit(1)", "own.py:score", "calls sys.exit"),
        ("def score(:", "own.py:score", "SyntaxError"),
        (ODD, "own.py:score", "does not say which arguments"),
        ("", "../other.py:score", "leads out of the task's folder"),
    ],
)
def test_a_function_that_cannot_be_used_is_told_when_the_task_is_read(
    tmp_path: Path, code: str, named: str, problem: str
) -> None:
    (tmp_path / "task").mkdir()
    with pytest.raises(TaskError, match=problem):
        load(tmp_path / "task", code, named)


def test_an_installed_module_serves_too(tmp_path: Path) -> None:
    scorer = load(tmp_path, named="operator:eq")
    assert said(scorer) == (1.0, Outcome.CORRECT)
    assert said(load(tmp_path, named="rapidfuzz.fuzz:ratio"), "x", "y")[0] == 0


def test_the_program_checks_runs_and_notices_a_change(bench: Bench) -> None:
    folder = bench.task("own", 3, scorer={"type": "python:marks.py:near", "example": "It is {target}."})
    code = "def near(answer, target):\n    return f'is {target}.' in answer\n"
    (folder / "marks.py").write_text(code)
    bench.replay("fake", {"m": {"s1": "It is 2.", "s2": "It is 7.", "s3": "It is 4."}})
    checked = bench.cli("tasks", "check", "own")
    assert checked.code == 0, checked
    assert "scores 1.000 against itself" in checked.out
    assert bench.cli("run", "own", "-m", "fake:m").code == 0
    assert [bench.results()[(f"s{n}", "fake:m")]["score"] for n in (1, 2, 3)] == [1.0, 0.0, 1.0]
    assert bench.cli("resume").code == 0
    (folder / "marks.py").write_text(code + "# changed\n")
    assert "scorer of the task" in bench.cli("resume").error()


def test_a_check_says_how_to_show_what_is_right(bench: Bench) -> None:
    bench.task("own", 3, scorer={"type": "regex", "pattern": r"answer: (\d+)"})
    checked = bench.cli("tasks", "check", "own")
    assert checked.code == 1
    assert 'Say with "example" in the scorer how a right answer looks' in checked.out


def test_a_function_that_fails_in_a_run_is_one_clear_error(bench: Bench) -> None:
    folder = bench.task("own", 3, scorer={"type": "python:marks:near"})
    (folder / "marks.py").write_text("def near(answer, target):\n    return 1 / (int(answer) - 2)\n")
    bench.replay("fake", {"m": {"s1": "2", "s2": "7", "s3": "4"}})
    said = bench.cli("run", "own", "-m", "fake:m")
    assert f'{folder / "marks.py"}: near: sample "s1": ZeroDivisionError' in said.err
    assert "Traceback" not in said.err
    assert said.code != 0


def test_scores_that_may_differ_need_no_proof(bench: Bench) -> None:
    folder = bench.task("own", 3, scorer={"type": "python:marks:near", "deterministic": False})
    (folder / "marks.py").write_text("def near(answer, target):\n    return 0.3\n")
    checked = bench.cli("tasks", "check", "own")
    assert checked.code == 0, checked
    assert "knows no right answer" in checked.out


def test_a_scorer_that_nobody_knows_is_refused_with_the_ones_there_are(bench: Bench) -> None:
    bench.task("own", scorer={"type": "exat"})
    assert '"type" must be one of exact, includes' in bench.cli("tasks", "check", "own").error()
    bench.task("own", scorer={"type": "python:own"})
    assert "write python:module:function" in bench.cli("tasks", "check", "own").error()
    bench.task("own", scorer={"type": "regex", "patern": "x"})
    assert "Did you mean pattern" in bench.cli("tasks", "check", "own").error()
    bench.task("own", scorer={"type": "json_schema"})
    assert "needs an output schema" in bench.cli("tasks", "check", "own").error()
