"""kill -9 at random moments of the real program: import, scoring, backup, removal."""

from __future__ import annotations

import random
import time
from collections import Counter
from pathlib import Path

from aicorona_desktop.app import services
from aicorona_desktop.core.rows import State
from aicorona_desktop.history.store import History
from tests import phantom
from tests.soak import near
from tests.soak.child import Child, Fork
from tests.soak.ledger import Acknowledged, blobs, troubles
from tests.soak.parts import Soak

ROUNDS = 3000
ROUNDS_A_LIFE = 30  # then a new history, so that the checks stay quick
LONGEST_S, LONGEST_WAIT_S = 0.4, 10.0
MOST_LINES = 7
WHOLE_EVERY = (
    5  # rounds: with reader and scorer processes; the others are quicker, and it is the main process that dies
)


def kills(soak: Soak) -> None:
    """Kill the program again and again while it reads, scores and makes backups; then let it finish."""
    total, rounds, chance = Acknowledged(), soak.rounds(ROUNDS), random.Random(12)
    during: Counter[str] = Counter()
    began, done, copies = time.monotonic(), 0, 0
    near.put_in_place(services, near.toy(soak.place("toy")))
    while done < rounds:
        count = min(ROUNDS_A_LIFE, rounds - done)
        place, told = soak.place("kills"), Acknowledged()
        history = place / "history.sqlite"
        for number in range(count):
            chest(place, done + number)
            words = [f"submit={place / 'source'}", *(["backup"] if number % 4 == 0 else [])]
            words += ["remove"] if number % 4 in {1, 3} else []
            whole = number % WHOLE_EVERY == WHOLE_EVERY - 1
            child = (Child if whole else Fork)(history, place / "pack", words)
            await_moment(child, chance)
            during["with processes" if whole else "without"] += 1
            lines = child.kill()
            during[moment(lines)] += 1
            told.hear(lines)
            for trouble in dict.fromkeys(troubles(history, told)):
                soak.hold(False, f"round {done + number}: {trouble}")
        told.hear(finish(soak, history, place, count))
        for trouble in dict.fromkeys(troubles(history, told)):
            soak.hold(False, f"after the last round: {trouble}")
        soak.hold(len(told.scored) == count, f"{count} studies handed in, {len(told.scored)} scored in the end")
        done += count
        copies += blobs(place)
        total.backups += told.backups
        total.removed += told.removed
        total.received |= told.received
        total.scored |= told.scored
        soak.say(
            f"  {done} kills, {total.instances} instances of {len(total.received)} studies acknowledged,"
            f" {len(total.scored)} scores, {total.backups} backups, {total.removed} studies' copies removed,"
            f" {copies} copies left; killed {dict(during)};"
            f" {time.monotonic() - began:.0f} s"
        )


def await_moment(child: Child | Fork, chance: random.Random) -> None:
    """Wait until it has said so and so much, and a little longer: machines differ, and load does."""
    count, ends = chance.randrange(1, MOST_LINES), time.monotonic() + LONGEST_WAIT_S
    while len(child.lines) < count and not child.is_over and time.monotonic() < ends:
        time.sleep(0.005)
    time.sleep(chance.uniform(0, LONGEST_S))


def chest(place: Path, number: int) -> None:
    """One more study in the source, which is handed in anew each round."""
    phantom.chest(f"kill {number}").with_slices(18).written_to(place / "source" / str(number))


def moment(lines: list[str]) -> str:
    """What the program was at, by what it said last."""
    last = next((line.split()[0] for line in reversed(lines) if not line.startswith("backed-up")), "")
    after = {
        "open": "reading",
        "received": "reading or scoring",
        "imported": "scoring",
        "scored": "scoring",
        "end": "its end",
    }
    return after.get(last, "starting")


def finish(soak: Soak, history: Path, place: Path, count: int) -> list[str]:
    """Let the program come to its end undisturbed."""
    lines = Fork(history, place / "pack", [f"submit={place / 'source'}"]).wait()
    soak.hold(lines[-1:] == ["end\n"], f"the program ended with {lines[-1:]}")
    with_trouble = [line for line in lines if line.startswith("trouble") and "cut off" not in line]
    soak.hold(not with_trouble, f"trouble was told: {with_trouble[:1]}")
    return [*lines, *(f"scored {uid}\n" for uid in done_in(history))]


def done_in(history: Path) -> list[str]:
    """The studies of a history that have their score."""
    with History.open(history, read_only=True) as opened:
        return [row.study_instance_uid for row in opened.rows() if row.state is State.DONE]
