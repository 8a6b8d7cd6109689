"""Python's constants under PySide6, whose wheels take references of them away before Python 3.12."""

from __future__ import annotations

import subprocess
import sys

MANY_CALLS = """
import os, sys
os.environ["QT_QPA_PLATFORM"] = "offscreen"
if sys.argv[1] == "ours":
    import aicorona_desktop.ui
from PySide6.QtCore import QCoreApplication, QObject, QTimer
application = QCoreApplication([])
timer = QTimer()
for number in range(200_000):
    timer.setInterval(number % 1000)
    timer.timeout.emit()
print("alive", flush=True)
os._exit(0)
"""


def many_calls(way: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", MANY_CALLS, way], capture_output=True, text=True, check=False, timeout=60
    )


def test_hundreds_of_thousands_of_calls_do_not_end_the_program():
    done = many_calls("ours")

    assert (done.returncode, done.stdout) == (0, "alive\n"), done.stderr


def test_without_our_help_they_do_where_constants_are_mortal():
    if sys.version_info >= (3, 12):
        return
    done = many_calls("plain")

    assert "deallocating" in done.stderr, "PySide6 has been mended: drop the help in ui/__init__.py"
