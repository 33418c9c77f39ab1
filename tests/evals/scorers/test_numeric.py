"""The numeric scorer: the final number of a free text."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from llm_tester.errors import TaskError
from llm_tester.evals.samples import Answer, Outcome, Sample, Score, ScoreContext
from llm_tester.evals.scorers import NumericScorer
from llm_tester.evals.scorers.numbers import DecimalMark, exact, only_number, plain_number
from llm_tester.evals.scorers.numeric import final_number
from llm_tester.records import FinishReason


def scored(target: Any, text: str, *, finish: FinishReason | None = "stop", **options: Any) -> Score:
    scorer = NumericScorer(**options)
    return asyncio.run(scorer.score(Sample("s", "", target), Answer(text, finish), ScoreContext()))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("18", 18),
        ("18.00", 18),
        (".5", "1/2"),
        ("0.1", "1/10"),
        ("$1,800", 1800),
        ("1,800.50", "3601/2"),
        ("1.800,50 €", "3601/2"),
        ("1,234,567", 1234567),
        ("1.234.567", 1234567),
        ("1,00,000.50", "200001/2"),
        ("1 800", 1800),
        ("1\u202f800", 1800),
        ("1'800", 1800),
        ("1’800.50", "3601/2"),
        ("1 800,500", "3601/2"),
        ("1,800", 1800),
        ("1,5", "3/2"),
        ("1,2345", "12345/10000"),
        ("1234,567", "1234567/1000"),
        ("0,125", "1/8"),
        ("1.800", "9/5"),
        ("-3", -3),
        ("−3", -3),
        ("–3", -3),
        ("-$10", -10),
        ("$-10", -10),
        ("-RM 0.02", "-1/50"),
        ("+7", 7),
        ("50%", 50),
        ("1/5", "1/5"),
        ("-1/5", "-1/5"),
        ("1 / 5", "1/5"),
        ("1 1/2", "3/2"),
        ("½", "1/2"),
        ("1½", "3/2"),
        ("1.8 billion", 1800000000),
        ("-1.8 billion", -1800000000),
        ("2 Million", 2000000),
        ("3 thousand", 3000),
        ("$18k", 18000),
        ("18 kg", 18),
        ("1e6", 1000000),
        ("1.5E-3", "3/2000"),
        ("2 \\times 10^{3}", 2000),
        ("10^2", 100),
        (r"\frac{1}{2}", "1/2"),
        (r"-\frac{1}{2}", "-1/2"),
        (r"1\dfrac{1}{2}", "3/2"),
        (r"\$1{,}800", 1800),
        (r"50\%", 50),
        ("**18**", 18),
        ("18 apples", 18),
        ("USD18", 18),
        ("TOTAL 18", 18),
        ("covid-19", 19),
        ("x=18", 18),
        ("１８", 18),
        ("18.", 18),
        ("5 m²", 5),
    ],
)
def test_a_number_is_read_as_it_is_written(text: str, value: int | str) -> None:
    assert only_number(text) == Fraction(value)


@pytest.mark.parametrize(
    ("text", "value"),
    [("1.800", 1800), ("1,800", "9/5"), ("1.5", "3/2"), ("1,5", "3/2"), ("1,800.50", "3601/2"), ("0.125", "1/8")],
)
def test_a_decimal_comma_settles_the_ambiguous_case(text: str, value: int | str) -> None:
    assert only_number(text, ",") == Fraction(value)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("12.05.2019", id="a date with dots"),
        pytest.param("25/12/2018", id="a date with slashes"),
        pytest.param("1.23,456,789", id="groups of the wrong size"),
        pytest.param("1.2,345,678", id="a mark within a group"),
        pytest.param("1,234.567,8", id="no single decimal mark"),
        pytest.param("1 800.000,5", id="three separators"),
        pytest.param("5/0", id="division by zero"),
        pytest.param("0^-1", id="a power of zero that is none"),
        pytest.param("3 5/2", id="no mixed number"),
        pytest.param("H2O", id="part of a word"),
        pytest.param("x_1", id="an index"),
        pytest.param("5 and 6", id="two numbers"),
        pytest.param("none", id="no number"),
        pytest.param("1" * 100_000, id="too many digits"),
        pytest.param("1e999999", id="too great an exponent"),
        pytest.param("1e" + "9" * 100_000, id="an exponent of 100,000 digits"),
        pytest.param("99999^99999", id="too great a power"),
        pytest.param("7^" + "9" * 9_000, id="a power of 9,000 digits"),
    ],
)
def test_what_is_not_one_number_is_not_read(text: str) -> None:
    assert only_number(text) is None


@pytest.mark.parametrize(
    ("text", "value"),
    [("9.00", Fraction(9)), (" -1e2 ", Fraction(-100)), ("$9", None), ("1,800", None), ("9 kg", None), ("", None)],
)
def test_a_plain_number_is_one_in_the_writing_of_json(text: str, value: Fraction | None) -> None:
    assert plain_number(text) == value
    assert plain_number("1" * 100_000) is None


@pytest.mark.parametrize(
    "number",
    [
        Decimal("1e999999"),
        Decimal("1e-999999"),
        pytest.param(10**5000, id="5000 digits"),
        float("inf"),
        Decimal("NaN"),
        Decimal("sNaN"),
    ],
)
def test_a_value_that_is_endless_or_too_long_is_none(number: Any) -> None:
    assert exact(number) is None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param("3 + 4 = 7, so she has 18 left.", 18, id="the last number"),
        pytest.param("So 2*9 = $<<2*9=18>>18 per day", 18, id="after a calculator's note"),
        pytest.param("#### 18\nThat is 5 more than 13.", 18, id="hashes win over the last number"),
        pytest.param("A: 18\n(checked 2 times)", 18, id="a label wins over the last number"),
        pytest.param("answer: 18\n\n1 remark", 18, id="a label in small letters"),
        pytest.param("**Final Answer:** 18\n\n1 remark", 18, id="a bold label"),
        pytest.param("**Answer**: **18** apples of 20", 18, id="bold closed before the colon"),
        pytest.param("## Final answer:\n\n$$18$$\n\n1 remark", 18, id="the line below the label"),
        pytest.param("The answer is 18. I took 3 steps.", 18, id="said in a sentence"),
        pytest.param("the answer is: $18, not 20", 18, id="said with a colon"),
        pytest.param("The answer is not 12. It is 18", 18, id="a denial marks nothing"),
        pytest.param(r"\boxed{18} as 20 - 2 is 18, for 2", 18, id="a box wins"),
        pytest.param(r"\boxed{\frac{1}{2}} of 3", Fraction(1, 2), id="a box with braces in it"),
        pytest.param(r"\boxed{\$1{,}800}", 1800, id="a box with TeX in it"),
        pytest.param(r"\boxed{5} was wrong. \boxed{18} of 20", 18, id="the last box"),
        pytest.param("Answer: 5\nNo, wait.\nAnswer: 18\n1 remark", 18, id="the last label"),
        pytest.param("\\boxed{5}\nAnswer: 18 of 20", 18, id="the last mark of any kind"),
        pytest.param("Answer: 5 + 13 = 18", 18, id="what a calculation comes to"),
        pytest.param("Answer: 3*4 = 2*6 = 12 apples = 1 dozen", 12, id="what a chain comes to"),
        pytest.param("Answer: 18 = 20 - 2", 18, id="the number stands before its reason"),
        pytest.param("Answer: $18 (as 3*6 = 18 and 1 = 1)", 18, id="an equation in the reason"),
        pytest.param("#### Step 2: adding\nThe sum is 18", 18, id="a heading is no mark"),
        pytest.param("#### 2. Adding\nThe sum is 18", 18, id="a numbered heading is no mark"),
        pytest.param("x = 18\r\nA: 18\r\n3 remarks", 18, id="lines of another system"),
    ],
)
def test_where_the_final_number_stands(text: str, value: int | Fraction) -> None:
    assert final_number(text).value == value


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("It cannot be known.", id="no number at all"),
        pytest.param("There are 5 days: 32768 feet * 2 =", id="an unfinished calculation"),
        pytest.param("So the total is 16 + 2 = $", id="an unfinished sum of money"),
        pytest.param("There are 5.\nAnswer: unknown", id="a label without a number"),
        pytest.param("There are 5.\n#### unknown", id="hashes without a number"),
        pytest.param("There are 5.\nAnswer:", id="a label without anything"),
        pytest.param("There are 5. The answer is unknown. Maybe 7.", id="the sentence ends before a number"),
        pytest.param(r"There are 5. \boxed{x}", id="a box without a number"),
        pytest.param(r"There are 5. \boxed{18", id="a box that is never closed"),
        pytest.param("There are 5. Answer: 3*4 =", id="a marked calculation without its end"),
        pytest.param("There are 5, as of 12.05.2019", id="the last number is none"),
        pytest.param("There are 5, or " + "18" * 50_000, id="the last number is endless"),
    ],
)
def test_no_final_number_is_invalid_and_says_why(text: str) -> None:
    score = scored("5", text)
    assert (score.value, score.outcome) == (0, Outcome.INVALID)
    assert score.note


@pytest.mark.parametrize(
    ("text", "finish", "outcome"),
    [
        pytest.param("The sum is 18", "length", Outcome.TRUNCATED, id="cut off, whatever number came last"),
        pytest.param("The sum is 18", "refusal", Outcome.REFUSED, id="refused"),
        pytest.param("", "stop", Outcome.EMPTY, id="empty"),
        pytest.param("<think>5</think>It is 18", "stop", Outcome.CORRECT, id="after the thoughts"),
        pytest.param("It is 18<think>Is it 5?</think>", "stop", Outcome.CORRECT, id="before the thoughts"),
        pytest.param("<think>The answer is 5</think>18", None, Outcome.CORRECT, id="marks in thoughts are none"),
        pytest.param("<think>18</think>", "stop", Outcome.EMPTY, id="nothing but thoughts"),
        pytest.param("<think>It is 18", "stop", Outcome.INVALID, id="thoughts that never end"),
        pytest.param("<think>It is 18", None, Outcome.TRUNCATED, id="thoughts that were perhaps cut off"),
        pytest.param("It is 17", "stop", Outcome.WRONG, id="another number"),
    ],
)
def test_how_an_answer_ended(text: str, finish: FinishReason | None, outcome: Outcome) -> None:
    score = scored("18", text, finish=finish)
    assert score.outcome is outcome
    assert score.value == (outcome is Outcome.CORRECT)


@pytest.mark.parametrize(
    ("target", "text", "options", "right"),
    [
        ("2,125", "2125", {}, True),
        ("-10", "−10.0", {}, True),
        (0.1, "1/10", {}, True),
        (Decimal("0.3"), "0.30000000000000004", {}, False),
        (100, "100.5", {"tolerance": "0.5"}, True),
        (100, "100.51", {"tolerance": "0.5"}, False),
        (-200, "-202", {"relative_tolerance": 0.01}, True),
        (-200, "-202.1", {"relative_tolerance": 0.01}, False),
        (100, "103", {"tolerance": 3, "relative_tolerance": 0.01}, True),
        (1800, "1.800", {"decimal_mark": ","}, True),
        (1800, "1.800", {}, False),
    ],
)
def test_values_are_compared_within_the_tolerance(target: Any, text: str, options: dict[str, Any], right: bool) -> None:
    assert scored(target, text, **options).value == right


@pytest.mark.parametrize("options", [{"tolerance": -1}, {"relative_tolerance": "nan"}, {"decimal_mark": ";"}])
def test_options_that_make_no_sense_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        NumericScorer(**options)


@pytest.mark.parametrize(
    "target", [None, True, "none", "", [], {}, ["1"], float("nan"), Decimal("1e99999"), "1" * 5000]
)
def test_a_target_without_a_number_is_refused(target: Any) -> None:
    with pytest.raises(TaskError, match="needs a number as its target"):
        NumericScorer().check_target(target)


def test_a_worked_solution_may_be_the_target() -> None:
    assert scored("She has 3 + 4 = 7.\n#### 7", "It is 7").value == 1


@settings(deadline=None)
@given(
    st.integers(-(10**20), 10**20) | st.decimals(-(10**9), 10**9) | st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(get_args(DecimalMark)),
)
def test_a_target_is_right_against_itself(target: Any, decimal_mark: DecimalMark) -> None:
    scorer = NumericScorer(decimal_mark=decimal_mark)
    scorer.check_target(target)
    assert scored(target, scorer.gold_answer(target), decimal_mark=decimal_mark).value == 1


@settings(deadline=None)
@given(st.text(alphabet="0123456789.,/-+ '^eE=$x\\{}#A:\nk%½", max_size=60))
def test_any_text_is_read_or_declined(text: str) -> None:
    assert 0 <= scored(1, text).value <= 1


@pytest.mark.parametrize(
    "piece",
    ["1", "1 ", "1,", "1/", "1 800 ", "####\n", "\\boxed{", "A:\n", "1+", "=", "<think>", "the answer is ", "e1"],
)
def test_a_long_text_is_read_or_declined(piece: str) -> None:
    # Quadratic reading of a text of this length would not end within the suite.
    assert 0 <= scored(1, "7 " + piece * (100_000 // len(piece)) + "?").value <= 1


DATA = os.environ.get("LLM_TESTER_TEST_DATA", "")


@pytest.fixture(scope="module")
def problems() -> dict[str, Sample]:
    return {
        line["id"]: Sample(line["id"], line["input"], line["target"])
        for line in read_lines(Path(DATA) / "gsm8k/samples.jsonl")
    }


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        yield from map(json.loads, file)


@pytest.mark.skipif(not DATA, reason="LLM_TESTER_TEST_DATA does not name the folder of recorded answers")
@pytest.mark.parametrize(("model", "right"), [("6b_finetuning", 286), ("175b_verification", 742)])
def test_recorded_answers_get_the_published_verdicts(problems: dict[str, Sample], model: str, right: int) -> None:
    scorer, context = NumericScorer(), ScoreContext()

    async def verdicts() -> list[tuple[str, bool, bool]]:
        lines = list(read_lines(Path(DATA) / f"gsm8k/answers_{model}.jsonl"))
        scores = [await scorer.score(problems[line["id"]], Answer(line["answer"]), context) for line in lines]
        return [(line["id"], score.value == 1, line["is_correct"]) for line, score in zip(lines, scores, strict=True)]

    found = asyncio.run(verdicts())
    assert [verdict for verdict in found if verdict[1] != verdict[2]] == []
    assert (len(found), sum(verdict[1] for verdict in found)) == (1319, right)
