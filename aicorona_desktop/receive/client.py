"""The program's end of the receiver process: starts it, hears it, starts it again."""

from __future__ import annotations

import importlib.util
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

from aicorona_desktop.core.child_process import ChildLostError, ChildProcess
from aicorona_desktop.core.errors import AicoronaError
from aicorona_desktop.core.receiving import ReceiverSettings
from aicorona_desktop.receive.protocol import Listening, News, NotListening, ReceiveError, Start, WhyNot, news_of

log = logging.getLogger(__name__)

MODULE = "aicorona_desktop.receive"
SEND_S, CLOSE_S = 10.0, 1.0
AGAIN_S = (1.0, 2.0, 5.0, 10.0, 30.0)  # between two starts; the last for ever


def is_installed() -> bool:
    """Whether the extra `receive` is installed; without it there is no receiver."""
    return importlib.util.find_spec("pynetdicom") is not None


class Receiver:
    """Keeps one receiver process running until `close`; `listener` hears its news on a thread of the receiver's own.

    A process that ends, or can't listen, is started again after a while; `NotListening` tells of each time.
    """

    def __init__(
        self,
        settings: ReceiverSettings,
        inbox: Path,
        listener: Callable[[News], None],
        again_s: tuple[float, ...] = AGAIN_S,
    ) -> None:
        self._start = Start(settings, inbox.resolve())
        self._listener = listener
        self._again_s = again_s
        self._closed = threading.Event()
        self._lock = threading.Lock()
        self._child: ChildProcess | None = None
        self._thread = threading.Thread(target=self._keep_running, name="receiver", daemon=True)
        self._thread.start()

    @property
    def pid(self) -> int | None:
        """The process, while there is one."""
        child = self._child
        return child.pid if child is not None else None

    def close(self) -> None:
        """End the process; a second call does nothing."""
        self._closed.set()
        with self._lock:
            if self._child is not None:
                self._child.kill()  # what it has acknowledged is on the disk
        if self._thread is not threading.current_thread():
            self._thread.join(10 * CLOSE_S)

    def _keep_running(self) -> None:
        tries = 0
        while not self._closed.is_set():
            began = time.monotonic()
            why = self._run()
            if self._closed.is_set():
                return
            self._listener(NotListening(int(why)))
            tries = 0 if time.monotonic() - began > self._again_s[-1] else tries
            self._closed.wait(self._again_s[min(tries, len(self._again_s) - 1)])
            tries += 1

    def _run(self) -> WhyNot:
        """Run one process until it ends; return why it did."""
        try:
            child = ChildProcess(MODULE)
        except ChildLostError:
            log.warning("the receiver could not be started")
            return WhyNot.OTHER
        with self._lock:
            self._child = child
            if self._closed.is_set():
                child.kill()
        try:
            child.send(self._start.frame(), SEND_S)
            while True:
                news = news_of(child.receive(float(threading.TIMEOUT_MAX // 2)))
                if isinstance(news, NotListening):
                    return WhyNot(news.why) if news.why in set(WhyNot) else WhyNot.OTHER
                self._listener(news)
        except (ChildLostError, ReceiveError) as error:
            if not self._closed.is_set():
                log.warning("the receiver ended", exc_info=error)
            return WhyNot.OTHER
        except AicoronaError as error:
            log.warning("the receiver could not be told how to start", exc_info=error)
            return WhyNot.OTHER
        finally:
            child.kill()
            child.close(CLOSE_S)
            with self._lock:
                self._child = None


__all__ = ["Listening", "Receiver", "is_installed"]
