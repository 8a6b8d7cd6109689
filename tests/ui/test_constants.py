"""Python's constants under PySide6: wheels of 6.12.0 take references of them away before Python 3.12."""

from __future__ import annotations

import subprocess
import sys

MANY_CALLS = """
import os
os.environ["QT_QPA_PLATFORM"] = "offscreen"
from PySide6.QtCore import QCoreApplication, QTimer
application = QCoreApplication([])
timer = QTimer()
for number in range(200_000):
    timer.setInterval(number % 1000)  # gives None
    timer.timeout.emit()  # gives True
print("alive", flush=True)
os._exit(0)
"""


def test_hundreds_of_thousands_of_calls_do_not_end_the_program():
    done = subprocess.run([sys.executable, "-c", MANY_CALLS], capture_output=True, text=True, check=False, timeout=60)

    assert (done.returncode, done.stdout) == (0, "alive\n"), done.stderr
