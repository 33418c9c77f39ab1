"""Server-sent events, wherever the bytes are split."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_tester.errors import BadResponseError
from llm_tester.llms.sse import MAX_EVENT, Event, EventParser

STREAM = (
    '\ufeff: a comment\n\ndata: one\n\nevent: ping\ndata: {"a":\ndata:1}\r\n\r\nid: 7\nretry: 3\ndata:  ü\r\rdata: last'
).encode()
EVENTS = [Event("message", "one"), Event("ping", '{"a":\n1}'), Event("message", " ü")]


def test_events_of_a_whole_stream() -> None:
    assert EventParser().feed(STREAM) == EVENTS


@given(st.lists(st.integers(0, len(STREAM)), max_size=8))
def test_splits_do_not_matter(places: list[int]) -> None:
    cuts = [0, *sorted(places), len(STREAM)]
    parser = EventParser()
    found = [event for begin, end in pairwise(cuts) for event in parser.feed(STREAM[begin:end])]
    assert found == EVENTS


def test_every_byte_alone() -> None:
    parser = EventParser()
    assert [event for byte in STREAM for event in parser.feed(bytes([byte]))] == EVENTS


def test_an_endless_line_is_refused() -> None:
    parser = EventParser()
    with pytest.raises(BadResponseError, match="too large"):
        parser.feed(b"data: " + b"x" * (MAX_EVENT + 1))
