"""The store's file: migrations, files of other versions, and what is no store at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from llm_tester.errors import LedgerError
from llm_tester.store import Store

SCHEMA = [
    "CREATE TABLE rows (value INTEGER UNIQUE); CREATE TABLE texts (text TEXT);\n",
    "CREATE INDEX i ON texts (text)",
]


def test_migrations_go_on_where_the_file_stands(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    with Store(path, SCHEMA[:1]) as store:
        store.write(lambda connection: connection.execute("INSERT INTO rows VALUES (1)"))
    with Store(path, [*SCHEMA, "CREATE TABLE more (x)"]) as store:
        assert [row["value"] for row in store.read("SELECT value FROM rows")] == [1]
        assert [row["version"] for row in store.read("SELECT version FROM schema_version")] == [1, 2, 3]


def test_a_migration_that_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    Store(path, SCHEMA[:1]).close()
    with pytest.raises(LedgerError, match="syntax error"):
        Store(path, [*SCHEMA, "CREATE TABLE half (x); CREATE TABEL broken (x)"])
    with Store(path, SCHEMA[:1]) as store:
        assert [row["version"] for row in store.read("SELECT version FROM schema_version")] == [1]
        assert list(store.read("SELECT 1 FROM sqlite_master WHERE name IN ('half', 'i')")) == []


def test_a_file_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    Store(path, SCHEMA).close()
    with pytest.raises(LedgerError, match="newer version") as caught:
        Store(path, SCHEMA[:1])
    assert "(schema 2, this one knows 1)" in caught.value.message
    assert caught.value.hint.startswith("Update llm-tester")


def test_a_file_that_is_no_database_is_refused_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    path.write_text("these are somebody's notes, long enough to be taken for a header" * 9)
    with pytest.raises(LedgerError, match="not a database") as caught:
        Store(path, SCHEMA)
    assert caught.value.hint == "This file is damaged, or not one of ours: restore it, or move it away."
    assert path.read_text().startswith("these are somebody's notes")


def test_a_file_in_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LedgerError, match=r"file/s\.db"):
        Store(tmp_path / "file" / "s.db", SCHEMA)
