from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from PySide6.QtCore import QObject, QThread
from pytestqt.qtbot import QtBot

from aicorona_desktop.core import events
from aicorona_desktop.core.errors import AicoronaError
from aicorona_desktop.core.findings import Finding, Outcome, Reason
from aicorona_desktop.core.score import Score
from aicorona_desktop.ui.jobs import FLUSH_S, Bridge, Jobs, cancelled


@pytest.fixture
def jobs(qtbot: QtBot):
    jobs = Jobs()
    yield jobs
    assert jobs.close(2)


def test_work_runs_elsewhere_and_its_answer_comes_back_to_the_window(qtbot: QtBot, jobs: Jobs):
    threads: list[object] = []

    jobs.run(threading.current_thread, lambda worker: threads.extend((worker, QThread.currentThread())))

    qtbot.waitUntil(lambda: bool(threads))
    assert threads[0] is not threading.current_thread()
    assert threads[1] is QThread.currentThread()


def test_a_lane_works_in_the_order_of_asking_and_two_lanes_side_by_side(qtbot: QtBot, jobs: Jobs):
    order: list[str] = []
    gate = threading.Event()

    jobs.run(lambda: gate.wait(5) and "slow", lambda _: order.append("slow"), lane="one")
    jobs.run(lambda: None, lambda _: order.append("after it"), lane="one")
    jobs.run(lambda: None, lambda _: order.append("beside it"), lane="two")

    qtbot.waitUntil(lambda: order == ["beside it"])
    gate.set()
    qtbot.waitUntil(lambda: order == ["beside it", "slow", "after it"])


def test_only_the_newest_request_of_a_key_is_answered(qtbot: QtBot, jobs: Jobs):
    answers: list[int] = []
    worked: list[int] = []
    gate = threading.Event()
    jobs.run(lambda: gate.wait(5), lambda _: None)

    for number in range(10):
        jobs.run(lambda number=number: worked.append(number) or number, answers.append, key="page")
    gate.set()

    qtbot.waitUntil(lambda: bool(answers))
    qtbot.wait(20)
    assert answers == [9]
    assert worked == [9]  # the others were not even begun


def test_a_request_overtakes_the_one_that_runs_and_lets_it_end_early(qtbot: QtBot, jobs: Jobs):
    answers: list[str] = []
    began, saw_it = threading.Event(), threading.Event()

    def long() -> str:
        began.set()
        while not cancelled():
            time.sleep(0.001)
        saw_it.set()
        return "old"

    jobs.run(long, answers.append, key="picture")
    assert began.wait(5)
    jobs.run(lambda: "new", answers.append, key="picture")

    qtbot.waitUntil(lambda: bool(answers))
    assert saw_it.is_set()
    assert answers == ["new"]


def test_an_answer_that_waits_for_the_window_is_dropped_when_its_question_is_asked_anew(
    qtbot: QtBot, jobs: Jobs
) -> None:
    heard: list[object] = []
    done = threading.Event()

    def many(give) -> None:
        for number in range(20):
            give(number)
        done.set()

    jobs.stream(many, heard.append, lambda: heard.append("end"), lane="a", key="q")
    assert done.wait(5)  # all of it is posted, and the window hasn't had a turn
    jobs.run(lambda: "other lane", heard.append, lane="b", key="q")
    jobs.run(lambda: "new", heard.append, lane="a", key="q")

    qtbot.waitUntil(lambda: "new" in heard and "other lane" in heard)
    assert set(heard) == {"new", "other lane"}


def test_nothing_is_delivered_to_an_owner_that_is_gone(qtbot: QtBot, jobs: Jobs):
    gate, answers = threading.Event(), []
    owner = QObject()
    jobs.run(lambda: gate.wait(5), answers.append, owner=owner, lane="one")
    jobs.run(lambda: None, lambda _: answers.append("last"), lane="two")
    qtbot.waitUntil(lambda: answers == ["last"])

    owner.deleteLater()
    del owner
    qtbot.wait(10)
    gate.set()
    jobs.run(lambda: None, lambda _: answers.append("after"), lane="one")

    qtbot.waitUntil(lambda: answers[-1] == "after")
    assert answers == ["last", "after"]


def test_a_cancelled_job_is_not_delivered_even_when_its_answer_waits(qtbot: QtBot, jobs: Jobs):
    answers: list[object] = []
    job = jobs.run(lambda: 1, answers.append)
    time.sleep(0.05)  # the answer lies ready; the window's thread has not looked yet

    job.cancel()

    qtbot.wait(30)
    assert answers == []


def test_an_error_of_ours_comes_as_its_sentence_and_any_other_without_its_text(
    qtbot: QtBot, jobs: Jobs, caplog: pytest.LogCaptureFixture
):
    sentences: list[str] = []

    def ours() -> None:
        raise AicoronaError("The disk is full.")

    def other() -> None:
        raise ValueError("Muster^Anna")

    jobs.run(ours, lambda _: None, sentences.append)
    jobs.run(other, lambda _: None, sentences.append)

    qtbot.waitUntil(lambda: len(sentences) == 2)
    assert sentences[0] == "The disk is full."
    assert "Muster" not in sentences[1]
    assert "a job failed" in caplog.text


def test_an_error_that_nobody_waits_for_is_told_by_the_jobs(qtbot: QtBot, jobs: Jobs):
    def fails() -> None:
        raise AicoronaError("Not so.")

    with qtbot.waitSignal(jobs.failed, check_params_cb=lambda sentence: sentence == "Not so."):
        jobs.run(fails, lambda _: None)


def test_a_stream_hands_out_every_item_in_order_and_then_its_end(qtbot: QtBot, jobs: Jobs):
    heard: list[object] = []

    def work(give) -> None:
        for number in range(1000):
            give(number)

    jobs.stream(work, heard.append, lambda: heard.append("end"))

    qtbot.waitUntil(lambda: "end" in heard)
    assert heard == [*range(1000), "end"]


def test_a_stream_that_nobody_wants_any_more_ends(qtbot: QtBot, jobs: Jobs):
    heard: list[object] = []
    ended = threading.Event()

    def work(give) -> None:
        try:
            while True:
                give(0)
        finally:
            ended.set()

    job = jobs.stream(work, heard.append)
    qtbot.waitUntil(lambda: len(heard) > 10)
    job.cancel()

    assert ended.wait(2)
    many = len(heard)
    qtbot.wait(30)
    assert len(heard) == many


def test_a_stream_waits_for_a_window_that_is_behind(qtbot: QtBot, jobs: Jobs):
    given: list[int] = []

    def work(give) -> None:
        for number in range(2000):
            give(number)
            given.append(number)

    job = jobs.stream(work, lambda _: None)
    time.sleep(0.2)  # the window's thread takes nothing meanwhile

    assert 0 < len(given) < 1000
    job.cancel()


def test_close_ends_running_work_and_leaves_no_thread(qtbot: QtBot):
    jobs = Jobs()
    began = threading.Event()

    def long() -> None:
        began.set()
        while not cancelled():
            time.sleep(0.001)

    answers: list[object] = []
    jobs.run(long, answers.append, lane="long")
    assert began.wait(5)

    assert jobs.close(2)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("lane ")]
    job = jobs.run(lambda: 1, answers.append)  # after the end: nothing happens
    assert job.cancelled
    qtbot.wait(20)
    assert answers == []


def test_one_turn_of_deliveries_does_not_keep_the_window(qtbot: QtBot, jobs: Jobs):
    gaps: list[float] = []
    last = time.monotonic()
    slept: list[int] = []

    def work(give) -> None:
        for number in range(60):
            give(number)

    def each(number: object) -> None:
        time.sleep(0.003)
        slept.append(1)

    from PySide6.QtCore import QTimer

    timer = QTimer(interval=1)

    def beat() -> None:
        nonlocal last
        now = time.monotonic()
        gaps.append(now - last)
        last = now

    timer.timeout.connect(beat)
    timer.start()
    jobs.stream(work, each)
    qtbot.waitUntil(lambda: len(slept) == 60)

    assert len(gaps) >= 5  # 60 x 3 ms in one turn would have left one gap of 180 ms


# --- the bridge ------------------------------------------------------------------------------------------------------


def from_thread(work) -> None:
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def test_a_flood_of_events_is_told_at_most_ten_times_a_second(qtbot: QtBot):
    bridge = Bridge()
    heard: list[frozenset[str]] = []
    progress: list[events.Progress] = []
    bridge.studies_changed.connect(heard.append)
    bridge.progress.connect(progress.append)
    ends = time.monotonic() + 0.5
    sent = 0

    def flood() -> None:
        nonlocal sent
        while time.monotonic() < ends:
            bridge(events.SliceScored(f"1.{sent % 5}", 1, 2))
            bridge(events.Progress(sent, None, 1))
            sent += 1
            time.sleep(0.0005)

    thread = threading.Thread(target=flood)
    thread.start()
    qtbot.waitUntil(lambda: not thread.is_alive(), timeout=5000)
    qtbot.wait(int(2 * FLUSH_S * 1000))

    assert sent > 100
    assert 2 <= len(heard) <= 9
    assert frozenset().union(*heard) == {f"1.{number}" for number in range(5)}
    assert progress[-1].files_read == sent - 1  # the newest is never lost


def test_what_happens_once_is_told_once_and_in_order(qtbot: QtBot):
    bridge = Bridge()
    heard: list[str] = []
    bridge.batch_started.connect(lambda news: heard.append(f"batch {news.number}"))
    bridge.notice.connect(lambda news: heard.append(news.finding.reason.name))
    bridge.maps_ready.connect(lambda uid: heard.append(f"maps {uid}"))
    bridge.maps_failed.connect(lambda uid, why: heard.append(f"no maps {uid} {why}"))
    bridge.sources_changed.connect(lambda: heard.append("sources"))
    bridge.engine_failed.connect(heard.append)

    def tell() -> None:
        bridge(events.BatchStarted(1, "CT"))
        bridge(events.Notice(Finding(Outcome.WARNED, Reason.DISK_NEARLY_FULL)))
        bridge(events.MapsReady("1.2"))
        bridge(events.MapsReady("1.3", "They are gone."))
        bridge(events.SourceLost(Path("x")))
        bridge(events.EngineFailed("It stopped."))

    from_thread(tell)
    qtbot.waitUntil(lambda: len(heard) == 6)

    assert heard == [
        "batch 1",
        "DISK_NEARLY_FULL",
        "maps 1.2",
        "no maps 1.3 They are gone.",
        "sources",
        "It stopped.",
    ]


def test_every_event_of_a_study_names_it_as_changed(qtbot: QtBot):
    bridge = Bridge()
    heard: set[str] = set()
    bridge.studies_changed.connect(heard.update)
    score = Score.__new__(Score)  # its content is not looked at here

    from_thread(lambda: bridge(events.StudySeen("1")))
    from_thread(lambda: bridge(events.PreliminaryScore("2", score)))
    from_thread(lambda: bridge(events.FinalScore("3", score, ())))

    qtbot.waitUntil(lambda: heard == {"1", "2", "3"})


def test_a_bridge_that_is_gone_takes_events_without_a_word(qtbot: QtBot):
    bridge = Bridge()
    bridge.deleteLater()
    qtbot.wait(10)

    from_thread(lambda: bridge(events.StudySeen("1")))
