from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future
from pathlib import Path
from typing import Any

import pytest

from llm_tester.errors import LedgerError
from llm_tester.store import Store

SCHEMA = [
    "CREATE TABLE rows (value INTEGER UNIQUE); CREATE TABLE texts (text TEXT);\n",
    "CREATE INDEX i ON texts (text)",
]

WRITER = """
import sys
from pathlib import Path
from llm_tester.store import Store

store = Store(Path(sys.argv[1]), ["CREATE TABLE rows (value INTEGER UNIQUE)"])
first = int(sys.argv[2])
for value in range(first, first + int(sys.argv[3])):
    store.write(lambda connection: connection.execute("INSERT INTO rows VALUES (?)", (value,)).rowcount)
    print(value, flush=True)
store.close()
"""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "deep" / "ledger.sqlite3", SCHEMA) as opened:
        yield opened


def insert(value: int) -> Callable[[sqlite3.Connection], int]:
    return lambda connection: connection.execute("INSERT INTO rows VALUES (?)", (value,)).rowcount


def values(store: Store) -> list[int]:
    return [row["value"] for row in store.read("SELECT value FROM rows ORDER BY value")]


class Gate:
    """A job that holds the writer until it is opened."""

    def __init__(self, store: Store) -> None:
        self._entered, self._open = threading.Event(), threading.Event()
        self.passed = store.submit(self._job)
        assert self._entered.wait(10)

    def _job(self, connection: sqlite3.Connection) -> None:
        self._entered.set()
        assert self._open.wait(10)

    def open(self) -> None:
        self._open.set()
        self.passed.result(10)


def test_what_was_written_can_be_read(store: Store) -> None:
    assert store.write(insert(1)) == 1
    assert values(store) == [1]
    assert [row["value"] for row in store.read("SELECT value FROM rows WHERE value = :v", {"v": 1})] == [1]


def test_jobs_that_wait_together_are_committed_together(store: Store) -> None:
    statements: list[str] = []
    store.write(lambda connection: connection.set_trace_callback(statements.append))
    gate = Gate(store)
    waiting = [store.submit(insert(value)) for value in range(100)]
    statements.clear()
    gate.open()
    assert [future.result(10) for future in waiting] == [1] * 100
    assert statements.count("COMMIT") == 2, "the gate's commit and that of all the others"


def test_a_future_is_done_only_after_its_commit(store: Store) -> None:
    seen: list[list[int]] = []
    gate = Gate(store)
    future = store.submit(insert(1))
    future.add_done_callback(lambda _: seen.append(values(store)))
    assert not future.done()
    gate.open()
    future.result(10)
    store.write(lambda _: None)
    assert seen == [[1]]


@pytest.mark.parametrize("failure", [ValueError("mine"), SystemExit(3), KeyboardInterrupt()])
def test_a_job_that_raises_is_rolled_back_alone(store: Store, failure: BaseException) -> None:
    def broken(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO rows VALUES (2)")
        raise failure

    gate = Gate(store)
    before, bad, after = store.submit(insert(1)), store.submit(broken), store.submit(insert(3))
    gate.open()
    assert (before.result(10), after.result(10)) == (1, 1)
    assert bad.exception(10) is failure
    assert values(store) == [1, 3]


def test_what_ends_a_transaction_is_part_of_it(tmp_path: Path) -> None:
    def end(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO rows SELECT 10 * count(*) FROM rows HAVING count(*) > 1")

    with Store(tmp_path / "ledger.sqlite3", SCHEMA, before_commit=end) as store:
        store.write(lambda connection: connection.execute("INSERT INTO rows VALUES (1), (2)"))
        assert values(store) == [1, 2, 20]
        with pytest.raises(LedgerError, match="UNIQUE"):
            store.write(lambda connection: connection.execute("INSERT INTO rows VALUES (40)"))
        assert values(store) == [1, 2, 20]


def test_the_writer_survives_what_ends_its_transactions(tmp_path: Path) -> None:
    failing = [True]

    def end(connection: sqlite3.Connection) -> None:
        if failing.pop():
            raise ValueError("a mistake")

    with Store(tmp_path / "ledger.sqlite3", SCHEMA, before_commit=end) as store:
        with pytest.raises(ValueError, match="a mistake"):
            store.write(insert(1))
        failing.append(False)
        store.write(insert(2))
        assert values(store) == [2]


def test_an_sql_error_is_one_of_ours(store: Store) -> None:
    store.write(insert(1))
    with pytest.raises(LedgerError, match="UNIQUE constraint failed") as caught:
        store.write(insert(1))
    assert caught.value.hint
    with pytest.raises(LedgerError, match="no such table"):
        list(store.read("SELECT * FROM absent"))


def test_a_full_disk_fails_the_group_and_says_so(store: Store) -> None:
    def fill(connection: sqlite3.Connection) -> None:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages}")
        connection.execute("INSERT INTO texts VALUES (zeroblob(1000000))")

    def relax(connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA max_page_count = 1000000")

    gate = Gate(store)
    together: list[Future[Any]] = [store.submit(insert(1)), store.submit(fill)]
    gate.open()
    assert all("database or disk is full" in str(future.exception(10)) for future in together)
    with pytest.raises(LedgerError, match="database or disk is full") as caught:
        together[1].result()
    assert caught.value.hint == "Check that the disk has room and that the folder may be written."
    store.write(relax)
    assert store.write(insert(2)) == 1
    assert values(store) == [2]


def test_a_commit_that_fails_leaves_the_store_usable(store: Store) -> None:
    def orphan(connection: sqlite3.Connection) -> None:
        connection.execute("CREATE TABLE child (parent REFERENCES rows (value) DEFERRABLE INITIALLY DEFERRED)")
        connection.execute("INSERT INTO child VALUES (7)")

    with pytest.raises(LedgerError, match="FOREIGN KEY constraint failed"):
        store.write(orphan)
    assert store.write(insert(1)) == 1


def test_a_future_that_was_cancelled_in_time_is_not_written(store: Store) -> None:
    gate = Gate(store)
    unwanted, wanted = store.submit(insert(1)), store.submit(insert(2))
    assert unwanted.cancel()
    gate.open()
    assert wanted.result(10) == 1
    with pytest.raises(CancelledError):
        unwanted.result()
    assert values(store) == [2]


def test_a_group_of_cancelled_jobs_needs_no_transaction(store: Store) -> None:
    gate = Gate(store)
    assert store.submit(insert(1)).cancel()
    gate.open()
    assert values(store) == []


def test_reading_goes_on_while_somebody_writes(store: Store) -> None:
    for value in range(3):
        store.write(insert(value))
    rows = store.read("SELECT value FROM rows ORDER BY value")
    assert next(rows)["value"] == 0
    store.write(insert(3))
    assert [row["value"] for row in rows] == [1, 2], "a reader sees what was committed when it began"
    assert values(store) == [0, 1, 2, 3]


def test_a_writer_that_is_busy_blocks_no_reader(store: Store) -> None:
    store.write(insert(1))
    gate = Gate(store)
    assert values(store) == [1]
    gate.open()


def test_every_thread_reads_for_itself(store: Store) -> None:
    store.write(insert(1))
    seen: list[list[int]] = []
    threads = [threading.Thread(target=lambda: seen.append(values(store))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [[1]] * 4


def test_a_reader_cannot_write(store: Store) -> None:
    with pytest.raises(LedgerError, match="readonly"):
        list(store.read("INSERT INTO rows VALUES (1)"))


def test_closing_writes_what_was_submitted(tmp_path: Path) -> None:
    store = Store(tmp_path / "s.db", SCHEMA)
    waiting = [store.submit(insert(value)) for value in range(1500)]
    store.close()
    assert all(future.done() for future in waiting)
    with Store(tmp_path / "s.db", SCHEMA) as again:
        assert len(values(again)) == 1500


def test_a_closed_store_takes_nothing_more(store: Store) -> None:
    store.close()
    store.close()
    for attempt in (lambda: store.submit(insert(1)), lambda: store.write(insert(1)), lambda: values(store)):
        with pytest.raises(LedgerError, match="the store is closed"):
            attempt()


def test_no_job_is_left_behind_when_a_store_is_closed_while_threads_submit(tmp_path: Path) -> None:
    for turn in range(20):
        store = Store(tmp_path / f"{turn}.db", SCHEMA)
        taken: list[Future[Any]] = []
        started = threading.Barrier(3)

        def work(store: Store = store, taken: list[Future[Any]] = taken, started: threading.Barrier = started) -> None:
            started.wait()
            try:
                while True:
                    taken.append(store.submit(lambda _: None))
            except LedgerError:
                pass

        threads = [threading.Thread(target=work) for _ in range(2)]
        for thread in threads:
            thread.start()
        started.wait()
        store.close()
        for thread in threads:
            thread.join(10)
        assert all(future.done() for future in taken)


def test_two_stores_share_a_file(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    with Store(path, SCHEMA) as one, Store(path, SCHEMA) as other:
        futures = [
            store.submit(insert(2 * number + odd)) for number in range(200) for odd, store in enumerate((one, other))
        ]
        assert all(future.result(10) == 1 for future in futures)
        assert values(one) == values(other) == list(range(400))


def test_two_processes_share_a_file(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    children = [
        subprocess.Popen([sys.executable, "-c", WRITER, path, str(first), "50"], stdout=subprocess.DEVNULL)
        for first in (0, 1000)
    ]
    assert [child.wait(30) for child in children] == [0, 0]
    with Store(path, SCHEMA[:1]) as store:
        assert values(store) == [*range(50), *range(1000, 1050)]


def test_a_new_file_can_be_opened_by_many_at_once(tmp_path: Path) -> None:
    for turn in range(15):
        problems: list[BaseException] = []
        started = threading.Barrier(6)

        def work(
            path: Path = tmp_path / f"{turn}.db",
            started: threading.Barrier = started,
            problems: list[BaseException] = problems,
        ) -> None:
            started.wait()
            try:
                Store(path, SCHEMA).close()
            except LedgerError as error:
                problems.append(error)

        threads = [threading.Thread(target=work) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert problems == []


def test_who_waits_too_long_for_another_writer_is_told(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    other = sqlite3.connect(path, isolation_level=None)
    with Store(path, SCHEMA, busy_seconds=0.05) as store:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LedgerError, match="locked") as caught:
            store.write(insert(1))
        assert "Another process" in caught.value.hint
        with pytest.raises(LedgerError, match="locked"):
            Store(path, [*SCHEMA, "CREATE TABLE more (x)"], busy_seconds=0.05)
        other.execute("ROLLBACK")
        assert store.write(insert(1)) == 1
    other.close()


def test_a_file_that_stays_locked_before_it_is_ours(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(LedgerError, match="locked"):
        Store(path, SCHEMA, busy_seconds=0.02)
    other.close()


def test_durability_is_set_as_promised(store: Store) -> None:
    def pragmas(connection: sqlite3.Connection) -> list[Any]:
        return [
            connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("journal_mode", "synchronous", "foreign_keys")
        ]

    assert store.write(pragmas) == ["wal", 2, 1]


def test_after_kill_9_every_acknowledged_row_is_there(tmp_path: Path) -> None:
    """Shows that commits are atomic and acknowledged after the fact; a power cut is not tested."""
    path = tmp_path / "s.db"
    acknowledged = 0
    for turn, lines in enumerate((1, 17, 60)):
        child = subprocess.Popen(
            [sys.executable, "-c", WRITER, path, str(turn * 100_000), "100000"], stdout=subprocess.PIPE, text=True
        )
        assert child.stdout is not None
        printed = [int(child.stdout.readline()) for _ in range(lines)]
        assert child.poll() is None
        os.kill(child.pid, signal.SIGKILL)
        printed += [int(line) for line in child.communicate(timeout=10)[0].splitlines() if line.strip()]
        with Store(path, SCHEMA[:1]) as store:
            stored = set(values(store))
            assert set(printed) <= stored
            assert next(store.read("PRAGMA integrity_check"))[0] == "ok"
        acknowledged += len(printed)
    assert acknowledged >= 78
