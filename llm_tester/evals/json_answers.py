"""Reading the JSON answer out of a model's text, or saying why there is none to read."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any, Literal

from llm_tester.records import FinishReason

State = Literal["found", "truncated", "nothing", "ambiguous", "broken"]
Container = Literal["object", "array"]

MAX_DEPTH = 200
MAX_CANDIDATES = 1000
LONGEST_INT = 600  # digits; `int` may refuse longer ones (sys.set_int_max_str_digits)
LARGEST_EXPONENT = 9999

_OBJECT = r"""\{(?=\s*+(?:["'“}]|[A-Za-z_$][\w$-]{0,64}+\s*+:|\Z))"""
_OBJECTS_IN_LIST = r"""\[(?=\s*+\{\s*+(?:["'“}]|\Z))"""
_ARRAY = r"""\[(?=\s*+(?:["'“\[\]{]|(?:-?\d[\d.eE+-]{0,640}+|true|false|null)\s*+(?:[,\]]|\Z)|\Z))"""
_THOUGHT = r"<(?P<close>/?)(?:think|thinking|reasoning)>"
_MARKS = {
    "object": re.compile(f"{_OBJECT}|{_OBJECTS_IN_LIST}|{_THOUGHT}", re.IGNORECASE),
    "array": re.compile(f"{_OBJECT}|{_ARRAY}|{_THOUGHT}", re.IGNORECASE),
}
_THOUGHT_END = re.compile(r"</(?:think|thinking|reasoning)>", re.IGNORECASE)
_SKIP = re.compile(
    r'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)|[{\[]|[}\]]|```|</(?:think|thinking|reasoning)>', re.IGNORECASE | re.DOTALL
)
_CUT_LITERAL = re.compile(r"(?:t(?:ru?)?|f(?:a(?:ls?)?)?|n(?:ul?)?|-|\.|[eE][+-]?)?\Z")
_CUT_ESCAPE = re.compile(r"\\?u?[0-9a-fA-F]{0,4}\Z")
_BARE_KEY = re.compile(r"\{\s*+[A-Za-z_$]")
_INSIDE = re.compile(r"""(?:["'”]\s*:|(?:["'”}\]\d]|\b(?:true|false|null))\s*,|\[)\s*\Z""")
_INSIDE_STRING = re.compile(r"""\\["']\s*:\s*\Z""")
_QUOTED_WHOLE = re.compile(r'\s*(?:```[\w-]*\s*)?(?=")')
_QUOTED_CONTAINER = re.compile(r'"(?:\\[nrt]|\s)*(?:\{(?:\\[nrt]|\s)*\\"|\[)')


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read: `value` only when `found`; `note` says what was passed over, or why nothing was taken."""

    state: State
    value: Any = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class _Candidate:
    value: Any
    identity: Hashable
    source: str
    tier: int = 0


@dataclass(slots=True)
class _Finds:
    """What stands in the text, in reading order; `doubt` is set by what follows the last complete candidate."""

    complete: list[_Candidate] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    doubt: str = ""
    cut: str = ""
    other: str = ""
    thinking: bool = False
    crowded: bool = False

    def add_broken(self, why: str, *, quoted: bool) -> None:
        self.broken.append(why)
        if quoted and self.complete:
            self.doubt = f"JSON that does not parse follows: {why}"


def read_json_answer(
    text: str,
    *,
    finish_reason: FinishReason | None = None,
    container: Container = "object",
    accepts: Callable[[Any], bool] | None = None,
) -> Reading:
    """The one JSON `container` that `text` answers with; numbers are int or Decimal. Raises nothing of its own.

    Of several different values, the only one that `accepts` holds for is taken; without such, none is.
    """
    finds = _quoted_whole(text, container)
    if finds is None:
        finds = _find(text, container)
    if finds.complete and not finds.crowded:
        return _choose(finds, accepts)
    return _without_answer(finds, finish_reason)


def _without_answer(finds: _Finds, finish_reason: FinishReason | None) -> Reading:
    cut_short = finish_reason in (None, "length")
    if finds.crowded:
        return Reading("ambiguous", note=f"more than {MAX_CANDIDATES} candidates")
    if finds.thinking:
        state: State = "nothing" if finish_reason == "stop" else "truncated"
        return Reading(state, note="the text is all thinking")
    if finds.cut:
        return Reading("truncated" if cut_short else "broken", note="the JSON is not closed")
    if finds.broken:
        return Reading("broken", note=finds.broken[0])
    if finish_reason == "length":
        return Reading("truncated", note="the text was cut off before any JSON")
    return Reading("nothing", note=finds.other or "no JSON")


def _choose(finds: _Finds, accepts: Callable[[Any], bool] | None) -> Reading:
    pool = _pool(finds.complete, accepts)
    if len(pool) > 1:
        return Reading("ambiguous", note=f"{len(pool)} different candidates")
    chosen = pool[0]
    notes = []
    others = len({c.identity for c in finds.complete}) - 1
    if others:
        notes.append(f"{others} other candidate{'s' if others > 1 else ''} passed over")
    if finds.doubt:
        return Reading("ambiguous", note=finds.doubt)
    if finds.cut:
        if not any(c.source.startswith(finds.cut) for c in finds.complete if c.identity == chosen.identity):
            return Reading("ambiguous", note="other JSON follows and is not closed")
        notes.append("a restatement of it is not closed")
    if finds.broken:
        notes.append(f"{len(finds.broken)} that did not parse passed over")
    return Reading("found", chosen.value, "; ".join(notes))


def _pool(complete: list[_Candidate], accepts: Callable[[Any], bool] | None) -> list[_Candidate]:
    """The distinct candidates of the best tier; only the accepted ones of the best tier that has any."""
    distinct: dict[Hashable, _Candidate] = {}
    for candidate in complete:
        known = distinct.get(candidate.identity)
        if known is None or candidate.tier < known.tier:
            distinct[candidate.identity] = candidate
    tiers = sorted({c.tier for c in distinct.values()})
    if accepts is not None:
        for tier in tiers:
            accepted = [c for c in distinct.values() if c.tier == tier and accepts(c.value)]
            if accepted:
                return accepted
    return [c for c in distinct.values() if c.tier == tiers[0]]


def _find(text: str, container: Container) -> _Finds:
    text = text.rstrip()
    finds = _Finds()
    position = regions = 0
    while (mark := _MARKS[container].search(text, position)) is not None:
        if mark.group("close") is None:
            position = _read_region(text, mark.start(), container, finds)
            regions += 1
        elif mark.group("close"):
            # The opening tag is often a part of the prompt, so all before this was thinking.
            position = mark.end()
            finds = _Finds(thinking=position == len(text))
        else:
            position = _skip_thought(text, mark.end(), finds)
        if regions > MAX_CANDIDATES:
            finds.crowded = True
            break
    return finds


def _skip_thought(text: str, start: int, finds: _Finds) -> int:
    end = _THOUGHT_END.search(text, start)
    if end is not None:
        return end.end()
    finds.thinking = True
    finds.doubt = "thinking follows and is not closed"
    return len(text)


def _read_region(text: str, start: int, container: Container, finds: _Finds) -> int:
    """Decode what begins at `start`, note what it is, and return where it ends."""
    quoted = _BARE_KEY.match(text, start) is None
    before = text[max(0, start - 64) : start]
    if _INSIDE_STRING.search(before) or (finds.broken and _INSIDE.search(before)):
        # Unescaped quotes in a broken object end its skipping early: this is still a part of it.
        finds.add_broken("a part of JSON that does not parse", quoted=quoted)
        return _skip(text, start)
    try:
        value, end = _DECODER.raw_decode(text, start)
        identity = _identity(value)
    except json.JSONDecodeError as error:
        if _ran_out(text, error):
            finds.cut = text[start:]
            return len(text)
        finds.add_broken(f"{error.msg} at character {error.pos}", quoted=quoted)
        return _skip(text, start)
    except RecursionError:
        finds.add_broken("nested too deeply", quoted=quoted)
        return _skip(text, start)
    except ValueError as error:
        finds.add_broken(str(error), quoted=quoted)
        return _skip(text, start)
    _add_complete(finds, value, identity, text, (start, end), container)
    return end


def _add_complete(
    finds: _Finds, value: Any, identity: Hashable, text: str, span: tuple[int, int], container: Container
) -> None:
    source = text[slice(*span)]
    if container == "object":
        objects = [value] if isinstance(value, dict) else [item for item in value if isinstance(item, dict)]
        found = [_Candidate(item, _identity(item), source) for item in objects]
    elif isinstance(value, list):
        found = [_Candidate(value, identity, source, _tier(value, text, span))]
    else:
        finds.other = "an object where an array was asked for"
        return
    finds.complete += found
    finds.doubt = ""


def _tier(value: list[Any], text: str, span: tuple[int, int]) -> int:
    """0 for what is surely an answer, 1 for bare numbers on lines of their own, 2 for what may be a citation."""
    if any(isinstance(item, bool) or not isinstance(item, (int, Decimal)) for item in value):
        return 0
    start, end = span
    line_start = text.rfind("\n", 0, start) + 1
    line_end = text.find("\n", end)
    before, after = text[line_start:start], text[end : line_end if line_end >= 0 else len(text)]
    return 2 if before.strip() or after.strip() else 1


def _skip(text: str, start: int) -> int:
    """Where the brackets opened at `start` are closed; a fence or the end of a thought closes them all."""
    depth = 0
    for token in _SKIP.finditer(text, start):
        first = token.group()[0]
        if first in "{[":
            depth += 1
        elif first in "}]":
            depth -= 1
        elif first != '"':
            return token.start()
        if depth <= 0:
            return token.end()
    return len(text)


def _ran_out(text: str, error: json.JSONDecodeError) -> bool:
    """Whether decoding failed because the text ends."""
    if error.msg.startswith("Unterminated string"):
        return True
    tail = _CUT_ESCAPE if error.msg.startswith("Invalid \\u") else _CUT_LITERAL
    return tail.match(text, error.pos) is not None


def _quoted_whole(text: str, container: Container) -> _Finds | None:
    """What a text holds that is one JSON string with JSON in it."""
    opening = _QUOTED_WHOLE.match(text)
    if opening is None or not _QUOTED_CONTAINER.match(text, opening.end()):
        return None
    try:
        inner, end = _DECODER.raw_decode(text, opening.end())
    except ValueError as error:
        ran_out = isinstance(error, json.JSONDecodeError) and _ran_out(text, error)
        return _Finds(cut=text[opening.end() :]) if ran_out else None
    if text[end:].strip(" \t\r\n`"):
        return None
    return _find(inner, container)


def _identity(value: Any, depth: int = 0) -> Hashable:
    """Equal for equal JSON: 1 is 1.0, true is not 1, and the order of keys does not matter."""
    if depth > MAX_DEPTH:
        raise RecursionError
    if isinstance(value, dict):
        return "object", frozenset((key, _identity(item, depth + 1)) for key, item in value.items())
    if isinstance(value, list):
        return "array", tuple(_identity(item, depth + 1) for item in value)
    if isinstance(value, bool) or value is None:
        return "literal", value
    return "scalar", value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) == len(pairs):
        return made
    first: dict[str, Any] = {}
    for key, value in pairs:
        if key in first and _identity(first[key]) != _identity(value):
            raise ValueError(f"the key {key!r} stands twice with different values")
        first.setdefault(key, value)
    return made


def _integer(digits: str) -> int | Decimal:
    return int(digits) if len(digits) <= LONGEST_INT else Decimal(digits)


def _decimal(digits: str) -> Decimal:
    try:
        number = Decimal(digits)
    except InvalidOperation as error:
        raise ValueError(f"the number {digits[:40]} is out of range") from error
    if abs(number.adjusted()) > max(LARGEST_EXPONENT, len(digits)):
        raise ValueError(f"the number {digits[:40]} is out of range")
    return number


def _constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(
    parse_float=_decimal,
    parse_int=_integer,
    parse_constant=_constant,
    object_pairs_hook=_object,
    strict=False,
)
