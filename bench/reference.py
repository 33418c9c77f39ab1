"""The yardstick: a bare asyncio, aiohttp and SQLite script that asks, compares and keeps, with group commit."""

from __future__ import annotations

import asyncio
import json
import queue
import sqlite3
import sys
import tempfile
import threading
from pathlib import Path

import aiohttp

from bench.cores import CLIENT_CORE, pin
from bench.gauge import Gauge

CONCURRENCY = 100
Row = tuple[int, str, str, str, int]


def tell(waiting: list[asyncio.Future[None]]) -> None:
    """Their rows are on disk."""
    for future in waiting:
        future.set_result(None)


def write(
    path: Path, rows: queue.SimpleQueue[tuple[Row, asyncio.Future[None]] | None], loop: asyncio.AbstractEventLoop
) -> None:
    """Commit what is there, then tell those who wait."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE answers (id INTEGER PRIMARY KEY, prompt TEXT, answer TEXT, raw TEXT, score INT)")
    running = True
    while running:
        group = [rows.get()]
        while not rows.empty():
            group.append(rows.get())
        running = None not in group
        found = [entry for entry in group if entry is not None]
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("INSERT INTO answers VALUES (?, ?, ?, ?, ?)", [row for row, _ in found])
        connection.execute("COMMIT")
        loop.call_soon_threadsafe(tell, [future for _, future in found])
    connection.close()


async def run(url: str, path: Path, count: int) -> None:
    """Ask for every sample, at most CONCURRENCY at once; a sample is done when it is on disk."""
    loop = asyncio.get_running_loop()
    rows: queue.SimpleQueue[tuple[Row, asyncio.Future[None]] | None] = queue.SimpleQueue()
    writer = threading.Thread(target=write, args=(path, rows, loop))
    writer.start()
    numbers = iter(range(count))

    async def worker(session: aiohttp.ClientSession) -> None:
        for number in numbers:
            prompt = f"Say ok, number {number}."
            body = {"model": "loopback", "messages": [{"role": "user", "content": prompt}], "max_tokens": 5}
            async with session.post(f"{url}/v1/chat/completions", json=body) as reply:
                raw = await reply.text()
            text = json.loads(raw)["choices"][0]["message"]["content"]
            durable: asyncio.Future[None] = loop.create_future()
            rows.put(((number, prompt, text, raw, text == "ok"), durable))
            await durable

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=CONCURRENCY)) as session:
        await asyncio.gather(*[worker(session) for _ in range(CONCURRENCY)])
    rows.put(None)
    writer.join()


if __name__ == "__main__":
    pin(CLIENT_CORE)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "answers.sqlite3"
        with Gauge() as gauge:
            asyncio.run(run(sys.argv[1], file, int(sys.argv[2])))
        gauge.extra["disk"] = file.stat().st_size
    gauge.tell()
