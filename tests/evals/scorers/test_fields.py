"""The fields scorer: structured output, leaf by leaf."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from pydantic import ValidationError

from llm_tester.errors import TaskError
from llm_tester.evals.samples import Outcome, ScoreContext
from llm_tester.evals.scorers import FieldsScorer
from llm_tester.records import FinishReason
from tests.evals.scorers.scoring import scored, scored_text


def same(gold: Any, answer: Any, rule: Mapping[str, Any] | None = None) -> bool:
    """Whether one field is correct under the rule."""
    score = scored({"f": gold}, {"f": answer}, {"f": rule} if rule else None)
    assert score.fields is not None
    assert score.fields["f"] in ("correct", "wrong")
    return score.fields["f"] == "correct"


@dataclass(frozen=True)
class TotalMustBeNumber:
    """An output schema of one rule."""

    json_schema: Mapping[str, Any]

    def problems(self, value: Any) -> list[str]:
        total = value.get("total")
        return [] if isinstance(total, int | Decimal) else ["total: not a number"]


NUMBER_SCHEMA = ScoreContext(TotalMustBeNumber({"type": "object"}))


class TestLeaves:
    @pytest.mark.parametrize(
        ("gold", "answer", "value", "fields"),
        [
            pytest.param({"a": 1, "b": 2}, {"a": 1, "b": 2}, 1, {"a": "correct", "b": "correct"}, id="all right"),
            pytest.param({"a": 1, "b": 2}, {"a": 1, "b": 3}, "1/2", {"a": "correct", "b": "wrong"}, id="one wrong"),
            pytest.param({"a": 1, "b": 2}, {"a": 1}, "1/2", {"a": "correct", "b": "missing"}, id="one missing"),
            pytest.param({"a": 1}, {"a": 1, "b": 2}, "1/2", {"a": "correct", "b": "invented"}, id="one invented"),
            pytest.param({"a": 1}, {}, 0, {"a": "missing"}, id="nothing given"),
            pytest.param(
                {"a": 1, "b": None, "c": "", "d": [], "e": {}, "f": " ", "g": [None, {"h": ""}]},
                {"a": 1, "b": [], "c": {}, "d": None, "i": {"j": [[]]}},
                1,
                {"a": "correct"},
                id="empty values are no leaves",
            ),
            pytest.param({"a": 0, "b": False}, {"a": 0, "b": False}, 1, None, id="zero and false are values"),
            pytest.param({"a": 1}, {"a": 1, "b": 0}, "1/2", {"a": "correct", "b": "invented"}, id="zero is invented"),
            pytest.param(
                {"vendor": {"name": "x", "address": {"city": "KL"}}},
                {"vendor": {"name": "x", "address": {"city": "JB"}}},
                "1/2",
                {"vendor.name": "correct", "vendor.address.city": "wrong"},
                id="nested objects have paths",
            ),
            pytest.param(
                {"a": "x y", "b": 1},
                {"a": {"c": "x", "d": "y"}, "b": 1},
                "1/4",
                {"a": "missing", "b": "correct", "a.c": "invented", "a.d": "invented"},
                id="an object instead of a value",
            ),
            pytest.param({"a": ["x"]}, {"a": "x"}, 0, {"a": "wrong"}, id="a value instead of a list"),
            pytest.param({"a.b": 1, "a": {"b": 2}}, {"a.b": 1}, "1/2", None, id="a dot in a name makes no path"),
        ],
    )
    def test_score_is_the_mean_over_the_leaves_of_both(
        self, gold: Any, answer: Any, value: int | str, fields: dict[str, str] | None
    ) -> None:
        score = scored(gold, answer)
        assert score.value == float(Fraction(value))
        assert fields is None or score.fields == fields

    @pytest.mark.parametrize(("right", "of"), [(1, 3), (2, 3), (7, 10), (10, 49), (49, 50), (3, 7)])
    def test_k_of_n_is_exactly_k_of_n(self, right: int, of: int) -> None:
        gold = {f"f{index}": index for index in range(of)}
        answer = {name: value if value < right else value + 1000 for name, value in gold.items()}
        assert scored(gold, answer).value == right / of


class TestLists:
    @pytest.mark.parametrize(
        ("gold", "answer", "kind", "value"),
        [
            pytest.param(["a", "b"], ["b", "a"], "matched", 1, id="any order"),
            pytest.param(["a", "b"], ["b", "a"], "ordered", "1/2", id="the order counts"),
            pytest.param(["a", "b", "c"], ["a", "c"], "ordered", "4/5", id="one left out in order"),
            pytest.param(["a", "b"], ["a"], "matched", "2/3", id="one missing"),
            pytest.param(["a"], ["a", "b"], "matched", "2/3", id="one invented"),
            pytest.param(["a"], ["a", "a"], "matched", "2/3", id="one twice"),
            pytest.param(["a"], ["b"], "matched", 0, id="nothing alike"),
            pytest.param(["a"], ["a", None, ""], "matched", 1, id="empty items are none"),
            pytest.param([{"n": "x", "p": 1}], [{"n": "x", "p": 2}], "matched", "1/2", id="half an item"),
            pytest.param([{"n": "x"}], [{"n": "x", "p": 2}], "matched", "1/2", id="an invented part of an item"),
            pytest.param([{"n": "x"}], ["x"], "matched", 0, id="an object is no text"),
            pytest.param([["a", "b"], ["c"]], [["c"], ["a"]], "matched", "5/6", id="lists of lists"),
        ],
    )
    def test_list_is_one_leaf_scored_by_f1(self, gold: Any, answer: Any, kind: str, value: int | str) -> None:
        score = scored({"items": gold}, {"items": answer}, {"items": {"list": kind}})
        assert score.value == pytest.approx(float(Fraction(value)), abs=1e-12)
        assert score.fields == {"items": "correct" if value == 1 else "wrong"}

    def test_list_counts_as_much_as_any_other_leaf(self) -> None:
        assert scored({"a": 1, "items": ["x", "y"]}, {"a": 1, "items": ["x"]}).value == pytest.approx(5 / 6)

    def test_list_present_on_one_side_only(self) -> None:
        assert scored({"a": 1, "items": ["x"]}, {"a": 1}).fields == {"a": "correct", "items": "missing"}
        assert scored({"a": 1}, {"a": 1, "items": ["x"]}).fields == {"a": "correct", "items": "invented"}

    def test_rules_reach_into_items(self) -> None:
        gold = {"items": [{"price": "9.00", "tags": ["1"]}]}
        answer = {"items": [{"price": 9, "tags": ["1.0"]}]}
        rules = {"items[].price": {"type": "number"}, "items[].tags[]": {"type": "number"}}
        assert scored(gold, answer, rules).value == 1
        assert scored(gold, answer).value == 0

    def test_list_at_the_top(self) -> None:
        gold, answer = [{"n": "x"}, {"n": "y"}], [{"n": "y"}, {"n": "x"}]
        assert scored(gold, answer).value == 1
        assert scored(gold, answer, {"": {"list": "ordered"}}).value == 0.5
        assert scored([{"p": "1"}], [{"p": 1.0}], {"[].p": {"type": "number"}}).value == 1

    @pytest.mark.parametrize("kind", ["matched", "ordered"])
    @pytest.mark.parametrize(
        "items",
        [
            pytest.param([{"name": f"n{i}", "price": i, "unit": "pc", "sum": 1} for i in range(5000)], id="objects"),
            pytest.param(["same"] * 5000, id="all the same"),
            pytest.param([[str(i)] for i in range(5000)], id="lists"),
        ],
    )
    def test_a_list_without_measure_is_scored(self, items: list[Any], kind: str) -> None:
        gold, text = {"items": items[:5]}, json.dumps({"items": items})
        score = scored_text(gold, text, {"items": {"list": kind}})
        assert score.value == pytest.approx(10 / 5005)

    def test_items_beyond_measure_stay_unmatched(self) -> None:
        gold = [str(index) for index in range(150)]
        answer = ["x"] * 1400 + gold
        assert scored(gold, answer).value == 0
        assert scored(gold, gold + answer).value == 2 * 150 / (150 + 1700)


class TestRules:
    @pytest.mark.parametrize(
        ("gold", "answer", "right"),
        [
            ("Ab  c", "aB c ", True),
            ("Café", "CAFE\u0301", True),
            ("9.00", Decimal("9.00"), True),
            ("9.00", 9, False),
            ("9.00", "9.0", False),
            ("true", True, False),
            ("1", True, False),
            (9, "9.00", True),
            (9, Decimal("9.0"), True),
            (9, "$9", False),
            (1, True, False),
            (True, 1, False),
            (True, "true", False),
            (True, True, True),
            (0, False, False),
            (Decimal("0.1"), Decimal("0.10"), True),
            (Decimal("0.3"), Decimal("0.30000000000000004"), False),
            (10**400, 10**400 + 1, False),
        ],
    )
    def test_field_without_a_rule_goes_by_the_golds_type(self, gold: Any, answer: Any, right: bool) -> None:
        assert same(gold, answer) is right

    def test_text(self) -> None:
        assert same("A  b", "a B", {"type": "text"})
        assert same(7, "7", {"type": "text"})
        assert not same("9.00", 9, {"type": "text"})

    @pytest.mark.parametrize(
        ("gold", "answer", "options", "right"),
        [
            ("9.00", 9, {}, True),
            ("RM 33.90", "33.9", {}, True),
            ("1.800,50 €", Decimal("1800.5"), {}, True),
            ("1.800", 1800, {"decimal_mark": ","}, True),
            (100, 100.01, {"tolerance": 0.01}, True),
            (100, 100.011, {"tolerance": 0.01}, False),
            (100, 101, {"relative_tolerance": 0.01}, True),
            (100, 102, {"relative_tolerance": 0.01}, False),
            (1, True, {}, False),
            ("n/a", "N/A", {}, True),
            ("5 or 6", "5", {}, False),
            ("5", "n/a", {"tolerance": 9}, False),
        ],
    )
    def test_number(self, gold: Any, answer: Any, options: dict[str, Any], right: bool) -> None:
        assert same(gold, answer, {"type": "number", **options}) is right

    @pytest.mark.parametrize(
        ("gold", "answer", "options", "right"),
        [
            pytest.param("2018-12-25", "2018-12-25", {}, True, id="ISO is always read"),
            pytest.param("2018-12-25", "2018-12-25T20:13:39Z", {}, True, id="the time of day is left out"),
            pytest.param("2018-12-25", "25/12/2018", {}, False, id="an undeclared form"),
            pytest.param("25/12/2018", "25/12/2018 ", {}, True, id="an undeclared form, but the same text"),
            pytest.param("25/12/2018", "2018-12-25", {"day_first": True}, True, id="the day first"),
            pytest.param("25.12.18", "25-12-2018", {"day_first": True}, True, id="dots and dashes, two digits"),
            pytest.param("1/2/2018", "2018-02-01", {"day_first": True}, True, id="single digits"),
            pytest.param("1/2/2018", "2018-01-02", {"day_first": False}, True, id="the month first"),
            pytest.param("1/2/2018", "2018-01-02", {"day_first": True}, False, id="not the month first"),
            pytest.param("12/25/2018", "2018-12-25", {"day_first": True}, False, id="no such month"),
            pytest.param("25/12-2018", "2018-12-25", {"day_first": True}, False, id="mixed separators"),
            pytest.param("30 DEC 17", "2017-12-30", {"formats": ["%d %b %y"]}, True, id="a declared form"),
            pytest.param("2018-02-30", "2018-02-30", {}, True, id="no such day, but the same text"),
            pytest.param("2018-02-28", "2018-02-28 and so on", {}, False, id="more than a date"),
            pytest.param("20181225", 20181225, {}, True, id="a number as a text"),
        ],
    )
    def test_date(self, gold: Any, answer: Any, options: dict[str, Any], right: bool) -> None:
        assert same(gold, answer, {"type": "date", **options}) is right

    @pytest.mark.parametrize(
        ("gold", "answer", "right"),
        [(True, "Yes", True), ("no", False, True), (True, 1, False), (False, 0, False), (True, False, False)],
    )
    def test_boolean(self, gold: Any, answer: Any, right: bool) -> None:
        assert same(gold, answer, {"type": "boolean"}) is right

    @pytest.mark.parametrize(
        "rule",
        [
            pytest.param({}, id="no type"),
            pytest.param({"type": "colour"}, id="an unknown type"),
            pytest.param({"type": "number", "day_first": True}, id="an option of another type"),
            pytest.param({"type": "text", "likeness": 0.9}, id="an unknown option"),
            pytest.param({"type": "number", "tolerance": -1}, id="a negative tolerance"),
            pytest.param({"list": "sorted"}, id="an unknown order"),
            pytest.param({"list": "matched", "type": "text"}, id="two kinds at once"),
            pytest.param({"type": "date", "formats": ["%Q"]}, id="a form that is none"),
            pytest.param({"type": "date", "formats": ["%m/%Y"]}, id="a form without a day"),
            pytest.param({"type": "date", "formats": "%d/%m/%Y"}, id="a form that is no list"),
        ],
    )
    def test_rule_that_makes_no_sense_is_refused(self, rule: dict[str, Any]) -> None:
        with pytest.raises(ValidationError):
            FieldsScorer.model_validate({"fields": {"f": rule}})

    def test_rules_come_back_from_their_own_json(self) -> None:
        rules = {"a": {"type": "date", "day_first": True}, "b": {"list": "ordered"}, "c": {"type": "number"}}
        scorer = FieldsScorer.model_validate({"fields": rules})
        assert FieldsScorer.model_validate_json(scorer.model_dump_json()) == scorer


class TestOutcomes:
    @pytest.mark.parametrize(
        ("text", "finish", "outcome"),
        [
            pytest.param('{"total": 9}', "stop", Outcome.CORRECT, id="all right"),
            pytest.param('Here:\n```json\n{"total": 9}\n```', "stop", Outcome.CORRECT, id="in a code block"),
            pytest.param('{"total": 9, "x": 1}', "stop", Outcome.PARTIAL, id="half right"),
            pytest.param('{"total": 8}', "stop", Outcome.WRONG, id="nothing right"),
            pytest.param("{}", "stop", Outcome.WRONG, id="an empty object"),
            pytest.param("Nine.", "stop", Outcome.INVALID, id="no JSON"),
            pytest.param("[9]", "stop", Outcome.INVALID, id="an array instead of an object"),
            pytest.param("9", "stop", Outcome.INVALID, id="a bare value"),
            pytest.param('{"total": 9', None, Outcome.TRUNCATED, id="cut off"),
            pytest.param('{"total": 9}', "length", Outcome.TRUNCATED, id="cut off by the limit"),
            pytest.param('{"total": 9}', "content_filter", Outcome.REFUSED, id="refused"),
            pytest.param("", "stop", Outcome.EMPTY, id="empty"),
            pytest.param('{"a":' * 70 + "1" + "}" * 70, "stop", Outcome.INVALID, id="nested too deeply"),
            pytest.param('{"total": 1e999999}', "stop", None, id="a number beyond measure"),
        ],
    )
    def test_how_an_answer_ended(self, text: str, finish: FinishReason | None, outcome: Outcome | None) -> None:
        score = scored_text({"total": 9}, text, finish=finish)
        if outcome is None:
            assert score.value == 0
            return
        assert score.outcome is outcome
        assert (score.value == 1) == (outcome is Outcome.CORRECT)

    def test_broken_schema_is_scored_by_leaves_and_never_correct(self) -> None:
        score = scored_text({"total": 9}, '{"total": "9"}', context=NUMBER_SCHEMA)
        assert (score.value, score.outcome) == (1, Outcome.PARTIAL)
        assert score.violations == ("total: not a number",)

    def test_broken_schema_with_nothing_right_is_wrong(self) -> None:
        score = scored_text({"total": 9}, '{"total": "8"}', context=NUMBER_SCHEMA)
        assert (score.value, score.outcome) == (0, Outcome.WRONG)

    def test_kept_schema_has_no_violations(self) -> None:
        score = scored_text({"total": 9}, '{"total": 9}', context=NUMBER_SCHEMA)
        assert (score.outcome, score.violations) == (Outcome.CORRECT, ())


class TestGolds:
    @pytest.mark.parametrize(
        ("target", "message"),
        [
            ("9", "object or array"),
            (None, "object or array"),
            (9, "object or array"),
            ({}, "at least one value"),
            ({"a": None, "b": [""]}, "at least one value"),
            ([], "at least one value"),
            ({"a": float("nan")}, "JSON cannot say"),
            ({"a": 1, "b": object()}, "JSON cannot say"),
        ],
    )
    def test_gold_that_cannot_be_scored_is_refused(self, target: Any, message: str) -> None:
        with pytest.raises(TaskError, match=message):
            FieldsScorer().check_target(target)

    def test_gold_nested_too_deeply_is_refused(self) -> None:
        gold: Any = 1
        for _ in range(70):
            gold = [gold]
        with pytest.raises(TaskError, match="nested deeper"):
            FieldsScorer().check_target(gold)

    def test_gold_answer_keeps_numbers_exact(self) -> None:
        gold = {"ä": Decimal("9.00"), "b": [1, True, None, 0.5, Decimal("1E+2"), 'x"y']}
        text = FieldsScorer().gold_answer(gold)
        assert text == '{"ä": 9.00, "b": [1, true, null, 0.5, 1E+2, "x\\"y"]}'
        assert scored_text(gold, text).outcome is Outcome.CORRECT
