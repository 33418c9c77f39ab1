"""SQLite as a durable store: many readers, one writer thread that commits in groups, migrations. Knows no domain."""

from __future__ import annotations

import queue
import re
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from llm_tester.errors import LedgerError

T = TypeVar("T")
Job = Callable[[sqlite3.Connection], Any]
Result = tuple[Any, BaseException | None]
_GROUP = 512
_GATHER = 0.001
"""Seconds that a busy writer waits for more jobs before it begins: a commit takes longer."""


class Store:
    """One SQLite file. `submit` hands a job to the writer; its future is done once the job's commit is on disk.

    `begin` and `before_commit` are called at the begin and the end of each transaction of jobs.
    """

    def __init__(
        self,
        path: Path,
        migrations: Sequence[str],
        *,
        busy_seconds: float = 30.0,
        begin: Callable[[], None] = lambda: None,
        before_commit: Callable[[sqlite3.Connection], None] = lambda _: None,
    ) -> None:
        self.path = path
        self._begin, self._before_commit = begin, before_commit
        self._busy_seconds = busy_seconds
        self._migrations = migrations
        self._jobs: queue.SimpleQueue[tuple[Job, Future[Any]] | None] = queue.SimpleQueue()
        self._readers = threading.local()
        self._opened: list[sqlite3.Connection] = []
        self._lock = threading.Lock()
        self._closed = False
        with self._translated():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = self._connect()
            try:
                self._migrate()
            except BaseException:
                self._connection.close()
                raise
        self._inode = path.stat().st_ino
        self._writer = threading.Thread(target=self._write, name=f"writer of {path.name}", daemon=True)
        self._writer.start()

    def submit(self, job: Callable[[sqlite3.Connection], T]) -> Future[T]:
        """Run `job` in the writer's next transaction; a job that raises is rolled back alone.

        A job runs a second time where another one of its transaction raises.
        """
        future: Future[T] = Future()
        with self._lock:
            self._refuse_closed()
            self._jobs.put((job, future))
        return future

    def write(self, job: Callable[[sqlite3.Connection], T]) -> T:
        """Run `job` in a transaction and wait until it is durable."""
        return self.submit(job).result()

    def read(self, sql: str, parameters: Sequence[Any] | dict[str, Any] = ()) -> Iterator[sqlite3.Row]:
        """The rows of a query over what is committed, streamed; one connection per thread."""
        self._refuse_closed()
        with self._translated():
            # Not `yield from`: a cursor of a store that was closed meanwhile cannot be closed once more.
            for row in self._reader().execute(sql, parameters):  # noqa: UP028
                yield row

    def check_in_place(self) -> None:
        """Raise LedgerError when the file was moved or removed since it was opened: what is written then is lost."""
        if not self.path.exists() or self.path.stat().st_ino != self._inode:
            raise LedgerError(
                f"{self.path}: the file was removed or replaced while it was written to",
                hint="What was answered since is lost with it; run again.",
            )

    def close(self) -> None:
        """Write what was submitted, then let go of the file."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._jobs.put(None)
        self._writer.join()
        for connection in (self._connection, *self._opened):
            connection.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _refuse_closed(self) -> None:
        if self._closed:
            raise LedgerError(f"{self.path}: the store is closed")

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.path, timeout=self._busy_seconds, isolation_level=None, check_same_thread=False, cached_statements=256
        )
        connection.row_factory = sqlite3.Row
        try:
            _use_wal(connection, time.monotonic() + self._busy_seconds)
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute("PRAGMA foreign_keys=ON")
        except BaseException:
            connection.close()
            raise
        return connection

    def _reader(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._readers, "connection", None)
        if connection is None:
            connection = self._connect()
            connection.execute("PRAGMA query_only=ON")
            self._readers.connection = connection
            with self._lock:
                self._opened.append(connection)
        return connection

    def _migrate(self) -> None:
        connection = self._connection
        # Looked at without a lock first, so that a file can be opened while another process writes to it.
        if self._version() == len(self._migrations):
            return
        connection.execute("BEGIN IMMEDIATE")
        try:
            connection.execute(
                "CREATE TABLE IF NOT EXISTS schema_version (version INTEGER PRIMARY KEY, applied_at TEXT NOT NULL)"
            )
            version = self._version()
            for number, script in enumerate(self._migrations[version:], version + 1):
                for statement in _statements(script):
                    connection.execute(statement)
                connection.execute("INSERT INTO schema_version VALUES (?, ?)", (number, datetime.now(UTC).isoformat()))
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")

    def _version(self) -> int:
        """The schema's version, 0 for a new file; raises LedgerError for one that this version does not know."""
        known = len(self._migrations)
        named = self._connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'schema_version'").fetchone()
        if not named:
            return 0
        version = int(self._connection.execute("SELECT coalesce(max(version), 0) FROM schema_version").fetchone()[0])
        if version > known:
            raise LedgerError(
                f"{self.path}: written by a newer version (schema {version}, this one knows {known})",
                hint="Update llm-tester, or use another workspace.",
            )
        return version

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise self._error(error) from error

    def _error(self, error: Exception) -> LedgerError:
        hint = "Check that the disk has room and that the folder may be written."
        if isinstance(error, sqlite3.DatabaseError) and re.search(
            "not a database|malformed|no such (table|col)", str(error)
        ):
            hint = "This file is damaged, or not one of ours: restore it, or move it away."
        elif "locked" in str(error):
            hint = f"Another process has been writing to it for more than {self._busy_seconds:g} s; try again."
        return LedgerError(f"{self.path}: {error}", hint=hint)

    def _write(self) -> None:
        running, busy = True, False
        while running:
            group = [self._jobs.get()]
            if busy:
                time.sleep(_GATHER)
            while len(group) < _GROUP and not self._jobs.empty():
                group.append(self._jobs.get())
            running, busy = None not in group, len(group) > 1
            # A future that was cancelled while it waited must not be set, and its job is no longer wanted.
            self._commit([entry for entry in group if entry is not None and entry[1].set_running_or_notify_cancel()])

    def _commit(self, group: list[tuple[Job, Future[Any]]]) -> None:
        """One transaction for all jobs of the group; futures are set only after the commit."""
        if not group:
            return
        try:
            # Most groups have no job that raises, and a savepoint for each would cost more than some jobs.
            done = self._transaction(group, self._run) or self._transaction(group, self._run_apart) or []
        except Exception as error:  # noqa: BLE001 - whoever waits for a job gets it, and the writer goes on
            failure = self._error(error) if isinstance(error, sqlite3.Error) else error
            done = [(None, failure) for _ in group]
        for (_, future), (value, problem) in zip(group, done, strict=True):
            if problem is not None:
                future.set_exception(problem)
            else:
                future.set_result(value)

    def _transaction(self, group: list[tuple[Job, Future[Any]]], run: Callable[[Job], Result | None]) -> list[Result]:
        """What the jobs bring, committed; nothing, and nothing written, when `run` brings nothing for one of them."""
        results: list[Result] = []
        self._begin()
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            for job, _ in group:
                if (result := run(job)) is None:
                    return []
                results.append(result)
            self._before_commit(self._connection)
            self._connection.execute("COMMIT")
        finally:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        return results

    def _run(self, job: Job) -> Result | None:
        try:
            return job(self._connection), None
        except BaseException as error:  # noqa: BLE001 - the job is run again, apart from the others
            self._raise_if_rolled_back(error)
            return None

    def _run_apart(self, job: Job) -> Result:
        self._connection.execute("SAVEPOINT job")
        try:
            value = job(self._connection)
        except BaseException as error:  # noqa: BLE001 - whoever waits for the job gets it
            self._raise_if_rolled_back(error)
            self._connection.execute("ROLLBACK TO job")
            self._connection.execute("RELEASE job")
            return None, self._error(error) if isinstance(error, sqlite3.Error) else error
        self._connection.execute("RELEASE job")
        return value, None

    def _raise_if_rolled_back(self, error: BaseException) -> None:
        """A full disk, for one, makes SQLite roll the whole group back."""
        if isinstance(error, sqlite3.Error) and not self._connection.in_transaction:
            raise error


def _statements(script: str) -> Iterator[str]:
    """The statements of a script; those of a trigger's body are part of it."""
    statement = ""
    for piece in script.split(";"):
        statement += f"{piece};"
        if sqlite3.complete_statement(statement) and piece.strip():
            yield statement
            statement = ""


def _use_wal(connection: sqlite3.Connection, deadline: float) -> None:
    """Switch to WAL; while another process does so SQLite says "locked" at once instead of waiting its busy time."""
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.005)
        else:
            return
