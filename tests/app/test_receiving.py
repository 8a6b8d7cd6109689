"""The receiver as a part of the program: sent, taken in, scored, counted, in the audit."""

from __future__ import annotations

import socket
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from aicorona_desktop.app.receiving import NOT_INSTALLED, Receiving
from aicorona_desktop.app.services import Wishes, running
from aicorona_desktop.core.events import Event, ReceiverChanged
from aicorona_desktop.core.receiving import (
    Caller,
    ReceiverSettings,
    ReceiverSettingsError,
    ReceiverStanding,
    ReceiverState,
)
from aicorona_desktop.core.settings import Settings, SettingsError, load_settings, save_settings
from aicorona_desktop.history.store import History
from tests import phantom
from tests.receive.sending import associate, close_lines, free_port, pydicom


@pytest.fixture(autouse=True)
def lines() -> Iterator[None]:
    yield
    close_lines()


def until(holds: object, timeout_s: float = 60.0) -> None:
    end = time.monotonic() + timeout_s
    while not holds():  # type: ignore[operator]
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.05)


def settings_for(port: int) -> ReceiverSettings:
    return ReceiverSettings(True, port=port, callers=(Caller("SENDER", ("127.0.0.1",)),))


def test_a_study_that_is_sent_is_scored_and_who_sent_it_stands_in_the_audit(tmp_path: Path) -> None:
    chest, port, heard = phantom.chest().with_slices(20), free_port(), []
    place = tmp_path / "program" / "history.sqlite"
    place.parent.mkdir()
    site = Settings(provider="cpu", quiet_time_s=0.5, poll_s=0.3, receiver=settings_for(port))

    def listener(event: Event) -> None:
        if isinstance(event, ReceiverChanged):
            heard.append(event.state)

    with running(Wishes(history=place, provider="cpu", settings=site), listener, print) as services:
        until(lambda: heard and heard[-1].standing is ReceiverStanding.LISTENING)
        association = associate(port)
        for file in sorted(chest.written_to(tmp_path / "sent").iterdir()):
            assert association.send_c_store(pydicom.dcmread(file)).Status == 0
        association.release()
        until(lambda: (row := services.history.row(chest.study_instance_uid)) and row.probabilities)
        until(lambda: services.receiving is not None and services.receiving.state.objects_today == 20)

    with closing(sqlite3.connect(place)) as raw:
        rows = dict(raw.execute("SELECT event, details FROM audit WHERE event LIKE 'receive%'"))
    assert rows["received"].startswith("SENDER at 127.0.0.1: 20 object(s), ")
    assert rows["receiver switched on"] == f"AICORONA at 127.0.0.1:{port} for SENDER"


def test_the_receiver_is_off_until_a_site_switches_it_on_and_off_again(tmp_path: Path) -> None:
    states: list[ReceiverState] = []
    with History.open(tmp_path / "history.sqlite") as history:
        receiving = Receiving(history, states.append)
        receiving.change(Settings().receiver)
        assert (receiving.state, states) == (ReceiverState(), [])
        assert not receiving.inbox.exists()

        on = settings_for(free_port())
        receiving.change(on)
        until(lambda: receiving.state.standing is ReceiverStanding.LISTENING)
        receiving.change(replace(on, on=False))

        assert receiving.state.standing is ReceiverStanding.OFF
        with socket.socket() as line:
            assert line.connect_ex(("127.0.0.1", on.port)) != 0
        receiving.close()


def test_without_its_library_the_receiver_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aicorona_desktop.app.receiving.is_installed", lambda: False)
    with History.open(tmp_path / "history.sqlite") as history:
        receiving = Receiving(history, lambda _: None)
        receiving.change(settings_for(free_port()))

        assert receiving.state.standing is ReceiverStanding.FAILED
        assert receiving.state.sentence == NOT_INSTALLED


def test_the_settings_of_the_receiver_are_kept_and_what_can_not_be_used_is_said(tmp_path: Path) -> None:
    kept = Settings(receiver=settings_for(104), backup_also_to=tmp_path)
    save_settings(kept, tmp_path)
    assert load_settings(tmp_path) == kept

    (tmp_path / "settings.json").write_text('{"receiver": {"on": true, "port": 70000}}')
    with pytest.raises(SettingsError, match="port"):
        load_settings(tmp_path)


@pytest.mark.parametrize(
    "wrong",
    [
        {"ae_title": ""},
        {"ae_title": "A\\B"},
        {"ae_title": "X" * 17},
        {"bind": "localhost"},
        {"port": 0},
        {"port": True},
    ],
)
def test_a_value_that_no_receiver_can_have_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ReceiverSettingsError):
        ReceiverSettings(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("addresses", "address", "may"),
    [
        ((), "203.0.113.9", True),
        (("10.1.2.3",), "10.1.2.3", True),
        (("10.1.2.3",), "10.1.2.4", False),
        (("10.1.2.0/24",), "::ffff:10.1.2.77", True),
        (("fe80::/10",), "fe80::1%eth0", True),
        (("10.1.2.3",), "no address", False),
    ],
)
def test_a_sender_may_call_from_its_addresses_alone(addresses: tuple[str, ...], address: str, may: bool) -> None:
    assert Caller("CT1", addresses).is_at(address) is may
