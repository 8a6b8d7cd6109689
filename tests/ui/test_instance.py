from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from pytestqt.qtbot import QtBot

from aicorona_desktop.ui.instance import first_instance, raise_file

SECOND = """
import sys
from pathlib import Path
from aicorona_desktop.ui.instance import first_instance
print(first_instance(Path(sys.argv[1])) is None)
"""


def second_start(place: Path) -> bool:
    """Whether another process finds a window there."""
    done = subprocess.run([sys.executable, "-c", SECOND, place], capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.strip() == "True"


def test_a_second_start_brings_the_first_window_to_the_front(qtbot: QtBot, tmp_path: Path):
    place = tmp_path / "history.sqlite"
    first = first_instance(place)
    assert first is not None

    with qtbot.waitSignal(first.raise_asked, timeout=30_000):
        assert second_start(place)

    assert not raise_file(place).exists()  # asked once
    first.release()


def test_after_the_first_has_gone_the_next_is_the_first(qtbot: QtBot, tmp_path: Path):
    place = tmp_path / "history.sqlite"
    first = first_instance(place)
    assert first is not None
    first.release()

    next_one = first_instance(place)

    assert next_one is not None
    next_one.release()


def test_a_request_left_behind_asks_for_nothing(qtbot: QtBot, tmp_path: Path):
    place = tmp_path / "history.sqlite"
    raise_file(place).write_bytes(b"")
    first = first_instance(place)
    assert first is not None

    with qtbot.assertNotEmitted(first.raise_asked, wait=20):
        first.look()
    first.release()


def test_windows_over_two_histories_know_nothing_of_each_other(qtbot: QtBot, tmp_path: Path):
    one, other = first_instance(tmp_path / "one.sqlite"), first_instance(tmp_path / "other.sqlite")

    assert one is not None
    assert other is not None
    one.release()
    other.release()
