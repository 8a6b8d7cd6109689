"""The receiver process, called over the loopback by real senders."""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydicom
import pytest

from aicorona_desktop.dicom.writing import uid_of
from aicorona_desktop.receive.protocol import Delivery, Listening, NotListening, TurnedAway, WhyAway, WhyNot
from tests import phantom
from tests.receive.sending import (
    CT,
    EXPLICIT,
    associate,
    close_lines,
    data_set,
    data_set_bytes,
    free_port,
    names_of,
    object_bytes,
    receiving,
)

ROUNDS = int(os.environ.get("AICORONA_KILL_ROUNDS", "10"))
"""300 as a soak: AICORONA_KILL_ROUNDS=300 python -m pytest tests/receive -k killed"""
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def lines() -> Iterator[None]:
    yield
    close_lines()


def send(port: int, numbers: range, acknowledged: list[str]) -> None:
    """Send objects until the line breaks; note each UID as soon as its status says success."""
    association = associate(port, timeout_s=2)
    for number in numbers:
        if not association.is_established:
            return
        one = data_set(number)
        with contextlib.suppress(RuntimeError, ValueError):
            answer = association.send_c_store(one)
            if "Status" in answer and answer.Status == 0x0000:
                acknowledged.append(one.SOPInstanceUID)
    if association.is_established:
        association.release()


# --- who may call ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("title", "called", "diagnostic", "why"),
    [("STRANGER", "AICORONA", 3, WhyAway.UNKNOWN_SENDER), ("SENDER", "OTHER", 7, WhyAway.UNKNOWN_TITLE)],
)
def test_who_is_not_named_is_rejected_with_the_reason_of_the_standard(
    tmp_path: Path, title: str, called: str, diagnostic: int, why: WhyAway
) -> None:
    with receiving(tmp_path / "inbox") as (_, heard, port):
        association = associate(port, title, called)

        assert association.is_rejected
        answer = association.acceptor.primitive
        assert (answer.result, answer.result_source, answer.diagnostic) == (1, 1, diagnostic)
        assert heard.wait_for(TurnedAway) == TurnedAway(title, "127.0.0.1", int(why), 1)


def test_a_named_sender_at_another_address_is_rejected(tmp_path: Path) -> None:
    from aicorona_desktop.core.receiving import Caller

    with receiving(tmp_path / "inbox", callers=(Caller("SENDER", ("10.0.0.0/8",)),)) as (_, _, port):
        association = associate(port)

        assert association.is_rejected
        assert association.acceptor.primitive.diagnostic == 3


def test_more_associations_than_the_limit_are_put_off_and_there_is_room_again_afterwards(tmp_path: Path) -> None:
    with receiving(tmp_path / "inbox") as (_, heard, port):
        open_ones = [associate(port) for _ in range(10)]
        assert all(one.is_established for one in open_ones)

        one_more = associate(port)
        assert one_more.is_rejected
        answer = one_more.acceptor.primitive
        assert (answer.result, answer.result_source, answer.diagnostic) == (2, 3, 2)

        for one in open_ones:
            one.release()
        heard.wait_for(Delivery, 10)
        again = associate(port)
        assert again.is_established
        again.release()


def test_an_echo_is_answered(tmp_path: Path) -> None:
    with receiving(tmp_path / "inbox") as (_, _, port):
        association = associate(port, contexts=(("1.2.840.10008.1.1", EXPLICIT),))

        assert association.send_c_echo().Status == 0x0000
        association.release()


def test_a_port_in_use_is_told_as_that(tmp_path: Path) -> None:
    from tests.receive.sending import SENDER, Heard, Receiver, ReceiverSettings

    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        heard = Heard()
        receiver = Receiver(
            ReceiverSettings(True, port=other.getsockname()[1], callers=(SENDER,)), tmp_path / "inbox", heard
        )
        try:
            assert heard.wait_for(NotListening) == NotListening(int(WhyNot.PORT_IN_USE))
        finally:
            receiver.close()


def test_nobody_beyond_this_computer_is_heard_unless_the_site_says_so(tmp_path: Path) -> None:
    with receiving(tmp_path / "inbox") as (receiver, _, port):
        listening = Path(f"/proc/{receiver.pid}/net/tcp")
        if not listening.exists():
            pytest.skip("this system doesn't list its sockets")
        state = [line.split() for line in listening.read_text().splitlines()[1:]]
        mine = [one[1] for one in state if one[1].endswith(f":{port:04X}") and one[3] == "0A"]

        assert mine == [f"0100007F:{port:04X}"]


# --- what is taken -----------------------------------------------------------------------------------------------


def test_a_data_set_is_kept_byte_for_byte_under_a_name_of_our_own(tmp_path: Path) -> None:
    acknowledged: list[str] = []
    with receiving(tmp_path / "inbox") as (_, heard, port):
        send(port, range(3), acknowledged)
        heard.wait_for(Delivery)

    files = sorted((tmp_path / "inbox").iterdir())
    assert len(acknowledged) == len(files) == 3
    assert {hashlib.sha256(data_set_bytes(one.read_bytes())).digest() for one in files} == {
        hashlib.sha256(data_set_bytes(object_bytes(number))).digest() for number in range(3)
    }
    assert all(one.name == hashlib.sha256(one.read_bytes()).hexdigest() + ".dcm" for one in files)
    meta = pydicom.dcmread(files[0]).file_meta
    assert (meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID) == (CT, EXPLICIT)
    assert all((one.stat().st_mode & 0o777) == 0o600 for one in files if os.name == "posix")


def test_the_same_object_sent_twice_is_one_file(tmp_path: Path) -> None:
    acknowledged: list[str] = []
    with receiving(tmp_path / "inbox") as (_, _, port):
        send(port, range(2), acknowledged)
        send(port, range(2), acknowledged)

    assert len(acknowledged) == 4
    assert len(names_of(tmp_path / "inbox")) == 2


@pytest.mark.parametrize("uid", ["../../../../tmp/evil", "1.2.3/../../x", "", "1" * 65])
def test_a_uid_that_is_a_path_or_none_is_refused_and_nothing_is_written(tmp_path: Path, uid: str) -> None:
    with receiving(tmp_path / "inbox") as (_, _, port):
        association = associate(port)
        statuses = raw_store(association, uid)

        assert statuses == [] or all(status != 0x0000 for status in statuses)
        assert names_of(tmp_path / "inbox") == set()
    assert [one.name for one in tmp_path.iterdir()] == ["inbox"]


def raw_store(association: Any, uid: str) -> list[int]:
    """Send a C-STORE request as bytes of our own making; return the statuses of the answers."""

    def element(number: int, value: bytes) -> bytes:
        value += b"\0" * (len(value) % 2)
        return struct.pack("<HHI", 0, number, len(value)) + value

    command = element(0x0002, CT.encode()) + element(0x0100, struct.pack("<H", 1))
    command += element(0x0110, struct.pack("<H", 1)) + element(0x0700, struct.pack("<H", 0))
    command += element(0x0800, struct.pack("<H", 1)) + element(0x1000, uid.encode())
    command = element(0x0000, struct.pack("<I", len(command))) + command
    context = association.accepted_contexts[0].context_id
    for control, data in ((3, command), (2, data_set_bytes(object_bytes(0)))):
        value = struct.pack(">IBB", len(data) + 2, context, control) + data
        association.dul.socket.send(struct.pack(">BBI", 4, 0, len(value)) + value)
    until = time.monotonic() + 2
    while time.monotonic() < until and association.is_established:
        _, answer = association.dimse.get_msg(block=False)
        if answer is not None:
            return [int(answer.Status)]
        time.sleep(0.01)
    return []


def test_a_pdu_of_four_gigabytes_ends_the_connection_and_takes_no_memory(tmp_path: Path) -> None:
    with receiving(tmp_path / "inbox") as (receiver, _, port):
        with socket.create_connection(("127.0.0.1", port)) as line:
            line.sendall(struct.pack(">BBI", 1, 0, 0xFFFFFFF0) + bytes(100_000))
            line.settimeout(10)
            with contextlib.suppress(ConnectionError):
                assert line.recv(1) == b""
        association = associate(port)
        assert association.is_established
        association.release()
        if sys.platform == "linux":
            status = Path(f"/proc/{receiver.pid}/status").read_text()
            peak_mb = int(status.split("VmHWM:")[1].split()[0]) / 1024
            assert peak_mb < 400


def test_a_class_that_comes_with_no_ct_is_refused_and_the_study_still_comes(tmp_path: Path) -> None:
    ultrasound, report = "1.2.840.10008.5.1.4.1.1.6.1", "1.2.840.10008.5.1.4.1.1.88.67"
    with receiving(tmp_path / "inbox") as (_, _, port):
        association = associate(port, contexts=((CT, EXPLICIT), (ultrasound, EXPLICIT), (report, EXPLICIT)))

        assert {str(one.abstract_syntax) for one in association.accepted_contexts} == {CT, report}
        association.release()


def test_a_transfer_syntax_that_the_reader_can_not_decode_is_refused_for_ct(tmp_path: Path) -> None:
    mpeg, lossless = "1.2.840.10008.1.2.4.100", "1.2.840.10008.1.2.4.70"
    with receiving(tmp_path / "inbox") as (_, _, port):
        association = associate(port, contexts=((CT, [mpeg]), (CT, [lossless]), (CT, [EXPLICIT])))

        accepted = sorted(str(one.transfer_syntax[0]) for one in association.accepted_contexts)
        assert accepted == sorted([lossless, EXPLICIT])
        association.release()


# --- what survives -----------------------------------------------------------------------------------------------


def test_a_connection_cut_in_the_middle_of_an_object_leaves_nothing(tmp_path: Path) -> None:
    with receiving(tmp_path / "inbox") as (_, heard, port):
        association = associate(port)
        context = association.accepted_contexts[0].context_id
        data = bytes(2000)
        value = struct.pack(">IBB", len(data) + 2, context, 0) + data  # a fragment of a data set, not the last
        association.dul.socket.send(struct.pack(">BBI", 4, 0, len(value)) + value)
        association.abort()
        heard.wait_for(Delivery)

        assert names_of(tmp_path / "inbox") == set()


def test_every_object_that_was_acknowledged_is_whole_in_the_inbox_when_the_receiver_is_killed(tmp_path: Path) -> None:
    inbox, moments = tmp_path / "inbox", random.Random(12)
    acknowledged: list[str] = []
    with receiving(inbox) as (receiver, heard, port):
        for round_number in range(ROUNDS):
            heard.wait_for(Listening, round_number + 1)
            work = threading.Thread(
                target=send, args=(port, range(round_number * 1000, round_number * 1000 + 200), acknowledged)
            )
            before = len(acknowledged)
            work.start()
            wanted = moments.randrange(12)
            while len(acknowledged) - before < wanted and work.is_alive():
                time.sleep(0.002)
            time.sleep(moments.uniform(0, 0.03))
            assert receiver.pid is not None
            os.kill(receiver.pid, signal.SIGKILL if os.name == "posix" else signal.SIGTERM)
            work.join(30)
            assert not work.is_alive()
        heard.wait_for(Listening, ROUNDS + 1)

    whole = {one for one in inbox.iterdir() if one.suffix == ".dcm"}
    assert {one.name for one in inbox.iterdir()} == {one.name for one in whole}  # the halves are swept at the start
    assert all(hashlib.sha256(one.read_bytes()).hexdigest() == one.stem for one in whole)
    kept = {str(pydicom.dcmread(one, stop_before_pixels=True).SOPInstanceUID) for one in whole}
    assert len(acknowledged) > ROUNDS
    assert set(acknowledged) <= kept


def test_a_real_sender_of_another_maker_has_every_object_acknowledged(tmp_path: Path) -> None:
    storescu = shutil.which("storescu")
    if storescu is None:
        pytest.skip("dcmtk is not installed")
    chest = phantom.chest()
    folder = chest.written_to(tmp_path / "study")
    with receiving(tmp_path / "inbox") as (_, heard, port):
        done = subprocess.run(
            [storescu, "-v", "+sd", "+r", "-aet", "SENDER", "-aec", "AICORONA", "127.0.0.1", str(port), str(folder)],
            capture_output=True,
            text=True,
            check=True,
        )
        delivery = heard.wait_for(Delivery) if heard.ended() else heard.wait_for(Delivery, 1)

    assert (done.stdout + done.stderr).count("Received Store Response (Success)") == 20
    assert delivery.failed == 0
    assert len(names_of(tmp_path / "inbox")) == 20


def test_the_command_receives_and_says_so(tmp_path: Path) -> None:
    port = free_port()
    command = [sys.executable, "-m", "aicorona_desktop", "receive", "--from", "SENDER@127.0.0.1", "--port", str(port)]
    command += ["--folder", str(tmp_path / "inbox"), "--for", "6"]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, text=True, env=os.environ | {"XDG_DATA_HOME": str(tmp_path)}
    ) as process:
        assert process.stdout is not None
        assert "Listening" in process.stdout.readline()
        acknowledged: list[str] = []
        send(port, range(2), acknowledged)
        rest = process.stdout.read()

    assert acknowledged == [uid_of("sent", "0"), uid_of("sent", "1")]
    assert "SENDER at 127.0.0.1: 2 object(s)." in rest
    assert process.returncode == 0
