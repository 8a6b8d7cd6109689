"""The receiver process: told once how to listen, then serves until its pipe closes."""

from __future__ import annotations

import errno
import importlib.util
import os
import sys
import threading
from typing import BinaryIO

from aicorona_desktop.core.errors import AicoronaError
from aicorona_desktop.core.frames import read_frame, write_frame
from aicorona_desktop.receive.inbox import Inbox
from aicorona_desktop.receive.protocol import Listening, News, NotListening, Start, WhyNot, frame_of

_WHY = {
    errno.EADDRINUSE: WhyNot.PORT_IN_USE,
    errno.EACCES: WhyNot.PORT_NOT_ALLOWED,
    errno.EPERM: WhyNot.PORT_NOT_ALLOWED,
    errno.EADDRNOTAVAIL: WhyNot.NO_SUCH_ADDRESS,
    10013: WhyNot.PORT_NOT_ALLOWED,  # Windows: WSAEACCES, WSAEADDRINUSE, WSAEADDRNOTAVAIL
    10048: WhyNot.PORT_IN_USE,
    10049: WhyNot.NO_SUCH_ADDRESS,
}


class Mouth:
    """Says the news through the pipe, one at a time; a pipe that is gone ends the process."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._one_at_a_time = threading.Lock()

    def __call__(self, news: News) -> None:
        with self._one_at_a_time:
            try:
                write_frame(self._stream, frame_of(news))
            except OSError:
                os._exit(0)


def main() -> None:
    """Run until standard input ends."""
    # Nothing else may write into the pipe of the answers.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    tell = Mouth(answers)
    frame = read_frame(sys.stdin.buffer)
    if frame is None:
        return
    start = Start.of(frame)
    why = _listen(start, tell)
    if why is not None:
        tell(NotListening(int(why)))


def _listen(start: Start, tell: Mouth) -> WhyNot | None:
    """Listen and serve; return why that was not possible, or None at the end."""
    if importlib.util.find_spec("pynetdicom") is None:
        return WhyNot.NO_LIBRARY
    from aicorona_desktop.receive.server import Server, silence

    silence()
    try:
        inbox = Inbox(start.inbox)
    except OSError:
        return WhyNot.NO_INBOX
    try:
        server = Server(start.settings, inbox, tell)
    except OSError as error:
        return _WHY.get(error.errno or 0, WhyNot.OTHER)
    tell(Listening(server.port))
    threading.Thread(target=_wait_for_the_end, name="pipe", daemon=True).start()
    server.serve()
    return None


def _wait_for_the_end() -> None:
    """End with the pipe: what is under way is not acknowledged, and its parts are swept at the next start."""
    sys.stdin.buffer.read()
    os._exit(0)


if __name__ == "__main__":
    try:
        main()
    except AicoronaError as error:
        sys.exit(str(error))
