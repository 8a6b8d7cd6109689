"""A backup put back from the menu, through the whole program: two windows one after the other."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from aicorona_desktop.core.user_settings import UserSettings, save_user_settings
from aicorona_desktop.history.store import History
from tests.history import made_up

PROGRAM = """
import json, sys
from pathlib import Path
from PySide6.QtCore import QTimer
from aicorona_desktop.app.services import Wishes
from aicorona_desktop.core.settings import Settings
from aicorona_desktop.ui import main
folder, copy = Path(sys.argv[1]), Path(sys.argv[2])
main.data_dir = lambda: folder
seen = []

def made(window):
    def ready():
        studies = len(window.context.running.history.rows())
        seen.append([studies, list(window.notices.sentences().values())])
        again = len(seen) == 1
        QTimer.singleShot(0, lambda: window.context.restore(copy) if again else window.close())
    window.ready.connect(ready)

code = main.run(Wishes(history=folder / "history.sqlite", settings=Settings(provider="cpu")), made)
print(json.dumps([code, seen]))
"""


def test_the_window_opens_again_with_the_backup_and_says_where_the_history_before_is(tmp_path: Path, pack_sha256: str):
    save_user_settings(UserSettings(initials="T").with_acknowledged(pack_sha256), tmp_path)
    with History.open(tmp_path / "history.sqlite") as history:
        history.record_received(made_up.study("1.2.3"))
        copy = history.backup()
        history.record_received(made_up.study("4.5.6"))
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path), str(copy)],
        env=os.environ | {"QT_QPA_PLATFORM": "offscreen"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    assert done.returncode == 0, done.stderr
    code, (first, second) = json.loads(done.stdout.splitlines()[-1])
    assert (code, first[0], second[0]) == (0, 2, 1)
    (aside,) = tmp_path.glob("history.sqlite.replaced-*")
    assert any(aside.name in sentence for sentence in second[1])
