from __future__ import annotations

import logging
import stat
import sys
from pathlib import Path

import pytest

from aicorona_desktop.core import logs
from aicorona_desktop.core.errors import AicoronaError
from aicorona_desktop.core.logs import escaped, internal_id, set_up_logs, take_down_logs


@pytest.fixture
def log(tmp_path):
    file = set_up_logs(tmp_path / "logs")
    logger = logging.getLogger("aicorona_desktop.test")
    yield logger, file
    take_down_logs()
    logging.getLogger(logs.LOGGER).setLevel(logging.NOTSET)


def test_records_go_to_a_file_one_line_each(log):
    logger, file = log

    logger.warning("study %s could not be scored", internal_id("1.2.3"))
    logger.debug("not kept")

    (line,) = file.read_text(encoding="utf-8").splitlines()
    assert line.endswith(f"WARNING aicorona_desktop.test study {internal_id('1.2.3')} could not be scored")


@pytest.mark.skipif(sys.platform == "win32", reason="other permissions there")
def test_only_the_user_may_read_them_also_after_they_were_turned_over(log, monkeypatch):
    logger, file = log
    monkeypatch.setattr(logging.getLogger(logs.LOGGER).handlers[-1], "maxBytes", 2000)

    for _ in range(100):
        logger.info("x" * 500)

    files = sorted(file.parent.iterdir())
    assert len(files) == logs.FILES
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_nobody_can_write_a_line_of_his_own_into_the_log(log):
    logger, file = log

    logger.info("file %s", "a\n2026-01-01 INFO all is well\x1b[2J\u202e\u2028\udcff")

    (line,) = file.read_text(encoding="utf-8").splitlines()
    assert "\\n2026-01-01 INFO all is well\\x1b[2J\\u202e\\u2028\\udcff" in line


def test_an_error_is_told_by_kind_and_place_and_its_text_only_where_it_is_ours(log):
    logger, file = log

    try:
        _read_a_disc()
    except AicoronaError as error:
        logger.warning("reading failed", exc_info=error)

    (line,) = file.read_text(encoding="utf-8").splitlines()
    assert "Doe" not in line
    assert "AicoronaError (A disc could not be read.) at test_logs.py:" in line
    assert "<- ValueError at test_logs.py:" in line
    assert "<- FileNotFoundError (ENOENT) at test_logs.py:" in line


def _read_a_disc():
    try:
        _open_a_file()
    except ValueError as error:
        raise AicoronaError("A disc could not be read.") from error


def _open_a_file():
    try:
        Path("/nowhere/Doe^John-1970.dcm").read_bytes()
    except OSError as error:
        raise ValueError("Doe^John") from error


def test_an_error_that_another_handler_has_written_out_is_still_told_our_way():
    try:
        int("Doe^John")
    except ValueError:
        record = logging.LogRecord("test", logging.ERROR, "", 0, "failed", None, sys.exc_info())
    other = logging.Formatter().format(record)

    ours = logs.OneLine().format(record)

    assert "Doe^John" in other
    assert "Doe" not in ours
    assert "ValueError at test_logs.py:" in ours
    assert logging.Formatter().format(record) == other


def test_a_very_long_record_is_cut(log):
    logger, file = log

    logger.info("x" * 100_000)

    assert len(file.read_text(encoding="utf-8")) <= logs.LONGEST_RECORD + 1


def test_setting_up_again_moves_the_log_and_writes_nothing_twice(log, tmp_path):
    logger, first = log

    second = set_up_logs(tmp_path / "other")
    logger.info("once")

    assert not first.exists()
    assert second.read_text(encoding="utf-8").count("once") == 1


def test_the_default_place_is_the_data_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(logs, "data_dir", lambda: tmp_path)

    file = set_up_logs()
    take_down_logs()

    assert file == tmp_path / "logs" / "aicorona-desktop.log"


def test_an_internal_id_is_short_the_same_every_time_and_does_not_hold_the_uid():
    uid = "1.2.840.113619.2.55"

    assert internal_id(uid) == internal_id(uid) != internal_id(uid + "1")
    assert len(internal_id(uid)) == 10
    assert internal_id("\udcff")


def test_plain_text_is_left_as_it_is():
    assert escaped("Grüße, 漢字 ✓") == "Grüße, 漢字 ✓"
