"""What a list of 100,000 studies costs: `python tests/benchmarks/bench_history.py [STUDIES]`.

For each question: the median and the longest of the rounds in ms, and the median ratio to a walk over all rows of the
same table in the same round. Each question is asked of a list with most studies read, of one with all unread and
overdue, and of one with all unread and none overdue. The targets: first page 50 ms, search 100 ms.
"""

from __future__ import annotations

import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from aicorona_desktop.core.lanes import Policy
from aicorona_desktop.core.rows import Lane
from aicorona_desktop.core.settings import Order
from aicorona_desktop.history.store import Column, Filter, History
from aicorona_desktop.triage.worklist import Worklist
from tests.history.made_up import NOW
from tests.history.many import Made, fill

ROUNDS = 15
PAGE = 100
DAYS = 300


def studies(count: int, share_read: float) -> Iterator[Made]:
    chance = random.Random(10)
    for number in range(count):
        first, second = sorted((chance.random(), chance.random()))
        received = NOW - timedelta(minutes=chance.random() * DAYS * 24 * 60)
        read = (received + timedelta(minutes=40), chance.choice(["normal", "cp", "covid"]), "", "AB")
        yield Made(
            uid=f"1.2.826.0.1.3680043.8.498.{number:012d}",
            received_at=received,
            probabilities=(first, second - first, 1 - second),
            doubtful=chance.random() < 0.02,
            name=f"Family{chance.randrange(5000)}^Given{chance.randrange(900)}=王^小{chr(0x4E00 + number % 900)}",
            read=read if chance.random() < share_read else None,
        )


def milliseconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - started)


def measure(what: str, work: Callable[[], object], history: History) -> None:
    def walk() -> object:
        return history._connection.execute("SELECT count(*) FROM study NOT INDEXED WHERE revision >= 0").fetchone()

    work()
    pairs = [(milliseconds(work), milliseconds(walk)) for _ in range(ROUNDS)]
    middle = statistics.median(ours for ours, _ in pairs)
    longest = max(ours for ours, _ in pairs)
    ratio = statistics.median(ours / reference for ours, reference in pairs)
    print(f"  {what}: {middle:.1f} ms, at most {longest:.1f}; {ratio:.2f} times a walk over all rows, {ROUNDS} rounds")


def ask_the_list(history: History, now: datetime, lane: Lane) -> None:
    worklist, policy = Worklist(history), Policy()
    for order in Order:
        other = Policy(order, operating_point=0.9)
        measure(f"first page, {order}", lambda other=other: worklist.page(lane, now, other, limit=PAGE), history)
    measure("page in the middle", lambda: worklist.page(lane, now, policy, limit=PAGE, skip=20_000), history)
    measure("all counts", lambda: worklist.counts(now, policy), history)
    uid = history.page(limit=1).rows[0].study_instance_uid
    measure("one study with its rank", lambda: worklist.row(uid, now, policy), history)
    differ = Filter(differ=True)
    measure("filter: differ, page", lambda: worklist.page(lane, now, policy, differ, limit=PAGE), history)
    measure("filter: differ, counts", lambda: worklist.counts(now, policy, differ), history)
    text = Filter(text="family12 given3")
    measure("filter: text, page", lambda: worklist.page(lane, now, policy, text, limit=PAGE), history)
    measure("filter: text, counts", lambda: worklist.counts(now, policy, text), history)
    measure("sorted by name", lambda: worklist.sorted_page(Column.NAME, now, policy, limit=PAGE), history)


def search(history: History) -> None:
    for text in ("family12", "family12 given3", "小一", "y1", "no such name"):
        measure(f"search {text!r}", lambda text=text: history.search(text), history)


def bench(folder: Path, count: int) -> None:
    lists = ((0.95, NOW, Lane.READ, "95 % read"), (0.0, NOW, Lane.OVERDUE, "all unread, overdue"))
    for share_read, now, lane, name in lists:
        path = folder / f"{lane}.sqlite"
        with History.open(path) as history:
            started = time.perf_counter()
            fill(history, studies(count, share_read))
            print(f"{count} studies, {name} (made in {time.perf_counter() - started:.0f} s)")
        with History.open(path, read_only=True) as history:
            ask_the_list(history, now, lane)
            search(history)
    print(f"{count} studies, all unread, none overdue")
    with History.open(path, read_only=True) as history:
        ask_the_list(history, NOW - timedelta(days=DAYS + 1), Lane.RANKED)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="aicorona-bench-") as place:
        bench(Path(place), int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
