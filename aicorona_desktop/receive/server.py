"""The storage SCP on top of pynetdicom: C-ECHO and C-STORE, for named callers, with walls where the library has none.

The library holds a whole object in memory, takes a PDU of any length and waits for ever for the rest of one. Here a
data set goes to the inbox fragment by fragment as it came, never decoded, and each length, count and wait has an end.

Source: DICOM PS3.8 9.3 (PDUs, rejections), PS3.4 B.2 (statuses of C-STORE), PS3.7 9.3.1 (C-STORE).
"""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import time
from collections.abc import Callable
from io import BytesIO
from typing import Any, cast

from pynetdicom import AE, _config, evt
from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_messages import DIMSEMessage
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.pdu_primitives import A_ASSOCIATE, P_DATA
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined] # made at run time
from pynetdicom.transport import AssociationServer, AssociationSocket, RequestHandler

from aicorona_desktop.core.receiving import ReceiverSettings
from aicorona_desktop.receive.classes import COMPANIONS, CT, UNCOMPRESSED, file_head, transfer_syntaxes
from aicorona_desktop.receive.inbox import Arriving, Inbox, InboxError
from aicorona_desktop.receive.protocol import Delivery, News, Trouble, TurnedAway, WhatFails, WhyAway, shown

MOST_ASSOCIATIONS = 10
MOST_CONNECTIONS = 20  # with those that have not said who they are yet
PDU_BYTES = 131_072  # what we ask for; dcmtk's largest
LARGEST_PDU_BYTES = 1_048_576  # a request that offers every class in every transfer syntax has a quarter of that
LARGEST_COMMAND_BYTES = 65_536
MOST_WAITING = 4  # messages that a sender may have under way before it gets an answer
INTRODUCTION_S, IDLE_S, PDU_S = 15.0, 60.0, 30.0
LONGEST_OBJECT_S = 600.0
TELL_EVERY_S = 0.5
TELL_AWAY_EVERY_S = 60.0
MOST_STRANGERS = 1000

SUCCESS, NO_ROOM, NOT_UNDERSTOOD, NOT_WRITTEN = 0x0000, 0xA700, 0xC000, 0xA702
STATUSES = {WhatFails.FULL: NO_ROOM, WhatFails.NOT_WRITTEN: NOT_WRITTEN, WhatFails.NOT_UNDERSTOOD: NOT_UNDERSTOOD}
PERMANENT, TRANSIENT = 1, 2
_QUICK_ACK: int | None = getattr(socket, "TCP_QUICKACK", None)
FROM_USER, FROM_PRESENTATION = 1, 3
CALLING_TITLE_UNKNOWN, CALLED_TITLE_UNKNOWN, LOCAL_LIMIT = 3, 7, 2


def silence() -> None:
    """Keep the library's own words, which name patients and UIDs, out of every log."""
    _config.LOG_HANDLER_LEVEL = "none"
    for name in ("pynetdicom", "pydicom"):
        logger = logging.getLogger(name)
        logger.addHandler(logging.NullHandler())
        logger.setLevel(logging.CRITICAL + 1)
        logger.propagate = False


class Server:
    """Listens from the start; `serve` until `stop`. `tell` hears the news, on any thread.

    Raises:
        OSError: it can't listen at this address and port.
    """

    def __init__(self, settings: ReceiverSettings, inbox: Inbox, tell: Callable[[News], None]) -> None:
        self._settings = settings
        self._desk = _Desk(settings, inbox, tell)
        entity = AE(ae_title=settings.ae_title)
        entity.maximum_pdu_size = PDU_BYTES
        entity.maximum_associations = MOST_ASSOCIATIONS + MOST_CONNECTIONS  # counted by the desk
        entity.acse_timeout = INTRODUCTION_S
        entity.network_timeout = IDLE_S
        entity.dimse_timeout = IDLE_S
        entity.add_supported_context(Verification, list(UNCOMPRESSED))
        for sop_class in (*CT, *COMPANIONS):
            entity.add_supported_context(sop_class, list(transfer_syntaxes(sop_class)))
        handlers: list[Any] = [
            (evt.EVT_REQUESTED, self._desk.meet),
            (evt.EVT_C_STORE, self._desk.store),
            (evt.EVT_CONN_CLOSE, lambda event: self._desk.part(event.assoc)),
        ]
        self._server = cast(
            "_Listener",
            entity.make_server(
                (settings.bind, settings.port),
                evt_handlers=handlers,
                server_class=_Listener,
                request_handler=_handler_with(inbox),
            ),
        )
        self._server.between_calls = self._desk.tidy

    @property
    def port(self) -> int:
        """The port it listens at."""
        return int(self._server.server_address[1])

    def serve(self) -> None:
        """Take calls until `stop`."""
        self._server.serve_forever(0.2)

    def stop(self) -> None:
        """Take no more calls and cut those that run; what was acknowledged is safe."""
        self._server.shutdown_only()
        for association in self._server.active_associations:
            with contextlib.suppress(OSError):
                association.abort()
        self._server.server_close()


class _Desk:
    """Who may come in, how many, what became of what they brought."""

    def __init__(self, settings: ReceiverSettings, inbox: Inbox, tell: Callable[[News], None]) -> None:
        self._settings = settings
        self._inbox = inbox
        self._tell = tell
        self._lock = threading.Lock()
        self._guests: dict[Association, _Guest] = {}
        self._strangers: dict[tuple[str, str, WhyAway], list[float]] = {}
        self._number = 0
        self._trouble: WhatFails | None = None

    def meet(self, event: evt.Event) -> None:
        """Let a caller in, or send the rejection that says why not (PS3.8 table 9-21)."""
        association = event.assoc
        request = cast("A_ASSOCIATE", association.requestor.primitive)
        title, address = shown(str(request.calling_ae_title).strip()), shown(association.requestor.address or "")
        why = None
        if not self._settings.allows(title, address):
            why, answer = WhyAway.UNKNOWN_SENDER, (PERMANENT, FROM_USER, CALLING_TITLE_UNKNOWN)
        elif str(request.called_ae_title).strip() != self._settings.ae_title:
            why, answer = WhyAway.UNKNOWN_TITLE, (PERMANENT, FROM_USER, CALLED_TITLE_UNKNOWN)
        else:
            with self._lock:
                if len(self._guests) < MOST_ASSOCIATIONS:
                    self._number += 1
                    self._guests[association] = _Guest(self._number, title, address)
                    return
            why, answer = WhyAway.TOO_MANY, (TRANSIENT, FROM_PRESENTATION, LOCAL_LIMIT)
        association.acse.send_reject(*answer)
        self._tell_away(title, address, why)
        association.kill()

    def store(self, event: evt.Event) -> int:
        """Answer a C-STORE: success only once the object is safe on the disk."""
        incoming = cast("C_STORE", event.request).DataSet
        what = incoming.keep() if isinstance(incoming, _Incoming) else WhatFails.NOT_UNDERSTOOD
        guest = self._guests.get(event.assoc)
        if guest is not None:
            guest.note(what, incoming.size_bytes if isinstance(incoming, _Incoming) else 0)
            if guest.told_at + TELL_EVERY_S < time.monotonic():
                self._tell(guest.delivery(ended=False))
        self._note_trouble(what)
        return SUCCESS if what is None else STATUSES[what]

    def part(self, association: Association) -> None:
        """Clear away what a caller has left unfinished, and give the account of it."""
        if isinstance(association.dimse, _Fragments):
            association.dimse.discard_all()
        with self._lock:
            guest = self._guests.pop(association, None)
        if guest is not None:
            self._tell(guest.delivery(ended=True))

    def tidy(self) -> None:
        """Part with those whose thread has ended without a word, as it does when the library meets its own error."""
        with self._lock:
            gone = [one for one in self._guests if not one.is_alive()]
        for association in gone:
            self.part(association)

    def _note_trouble(self, what: WhatFails | None) -> None:
        """Tell once that there is no room, and once that there is again."""
        lasting = what if what in (WhatFails.FULL, WhatFails.NOT_WRITTEN) else None
        if what is WhatFails.NOT_UNDERSTOOD:
            return
        with self._lock:
            changed, self._trouble = lasting is not self._trouble, lasting
        if changed:
            self._tell(Trouble(lasting or WhatFails.FINE_AGAIN))

    def _tell_away(self, title: str, address: str, why: WhyAway) -> None:
        """Tell of a stranger at once, then once a minute with the number of its calls."""
        now = time.monotonic()
        with self._lock:
            if len(self._strangers) >= MOST_STRANGERS:
                self._strangers.clear()
            last, count = self._strangers.get((title, address, why), (float("-inf"), 0))
            due = now - last >= TELL_AWAY_EVERY_S
            self._strangers[title, address, why] = [now, 0] if due else [last, count + 1]
        if due:
            self._tell(TurnedAway(title, address, int(why), int(count) + 1))


class _Guest:
    """The account of one association; used by one thread at a time."""

    def __init__(self, number: int, ae_title: str, address: str) -> None:
        self._number, self._ae_title, self._address = number, ae_title, address
        self._stored, self._failed, self._size_bytes = 0, 0, 0
        self._since = time.monotonic()
        self.told_at = self._since

    def note(self, what: WhatFails | None, size_bytes: int) -> None:
        if what is None:
            self._stored += 1
            self._size_bytes += size_bytes
        else:
            self._failed += 1

    def delivery(self, *, ended: bool) -> Delivery:
        self.told_at = time.monotonic()
        seconds = self.told_at - self._since
        mine = (self._number, self._ae_title, self._address, self._stored, self._failed, self._size_bytes)
        return Delivery(*mine, seconds, ended)


class _Incoming(BytesIO):
    """A data set on its way into the inbox, where the library expects to fill memory.

    What goes wrong is remembered and the rest swallowed, so that the sender gets a status instead of a broken line.
    """

    def __init__(self, inbox: Inbox, association: Association, message: DIMSEMessage) -> None:
        super().__init__()
        self._inbox = inbox
        self._association = association
        self._message: DIMSEMessage | None = message
        self._arriving: Arriving | None = None
        self._since = time.monotonic()
        self.what: WhatFails | None = None

    @property
    def size_bytes(self) -> int:
        """How much of the file has come."""
        return self._arriving.size_bytes if self._arriving is not None else 0

    def write(self, data: Any) -> int:
        """Take a fragment."""
        if self.what is None:
            try:
                if self._arriving is None:
                    self._arriving = self._begun()
                self._arriving.write(data)
            except InboxError as error:
                self.what = error.what
            except OSError:
                self.what = WhatFails.NOT_WRITTEN
        if time.monotonic() - self._since > LONGEST_OBJECT_S:
            raise TimeoutError  # the library ends the association
        return len(data)

    def keep(self) -> WhatFails | None:
        """Make it safe; return why that was not possible, or None."""
        if self.what is not None or self._arriving is None:
            self.discard()
            return self.what or WhatFails.NOT_UNDERSTOOD
        try:
            self._arriving.keep()
        except InboxError as error:
            return error.what
        return None

    def discard(self) -> None:
        """Leave nothing of it, unless it was kept."""
        if self._arriving is not None:
            self._arriving.discard()

    def _begun(self) -> Arriving:
        message, self._message = self._message, None
        context_id = getattr(message, "context_id", None)
        contexts = {one.context_id: one for one in self._association.accepted_contexts}
        if message is None or context_id not in contexts:
            raise InboxError(WhatFails.NOT_UNDERSTOOD)
        command = message.command_set
        sop_class, instance = command.get("AffectedSOPClassUID"), command.get("AffectedSOPInstanceUID")
        context = contexts[context_id]
        head = file_head(str(sop_class), str(instance), str(context.transfer_syntax[0]))
        if head is None or str(sop_class) != str(context.abstract_syntax):
            raise InboxError(WhatFails.NOT_UNDERSTOOD)
        return self._inbox.begin(head)


class _Fragments(DIMSEServiceProvider):
    """Puts messages together as the library does, with data sets that go to the inbox."""

    def __init__(self, association: Association, inbox: Inbox) -> None:
        super().__init__(association)
        self._inbox = inbox
        self._open: set[_Incoming] = set()
        self._command_bytes = 0

    def receive_primitive(self, primitive: P_DATA) -> None:
        """Take the fragments of one PDU; what is raised here ends the association."""
        for _, fragment in primitive.presentation_data_value_list:
            if not fragment:
                raise ValueError("a fragment without a header")
            self._command_bytes += len(fragment) if fragment[0] & 1 else 0
        if self._command_bytes > LARGEST_COMMAND_BYTES or self.msg_queue.qsize() > MOST_WAITING:
            raise ValueError("more than a sender of ours would send")
        if self.message is None:
            self._command_bytes = 0
            self.message = DIMSEMessage()
            incoming = _Incoming(self._inbox, self.assoc, self.message)
            self.message.data_set = incoming
            self._open = {one for one in self._open if one.what is None and not one.closed}
            self._open.add(incoming)
        super().receive_primitive(primitive)

    def discard_all(self) -> None:
        """Leave nothing of what was not kept."""
        for incoming in tuple(self._open):
            incoming.discard()
        self._open.clear()


class _Socket(AssociationSocket):
    """Reads no PDU beyond a length, and waits for the rest of one only so long."""

    def recv(self, nr_bytes: int) -> bytearray:
        """Return that many bytes, fewer where the connection ends; raises OSError."""
        if nr_bytes > LARGEST_PDU_BYTES or self.socket is None:
            raise OSError("no PDU has this length")
        if _QUICK_ACK is not None:
            # Some senders hold back the data set until the command before it is acknowledged; Linux waits 40 ms.
            self.socket.setsockopt(socket.IPPROTO_TCP, _QUICK_ACK, 1)
        data = bytearray(nr_bytes)
        rest, until = memoryview(data), time.monotonic() + PDU_S
        while rest:
            self.socket.settimeout(max(0.001, until - time.monotonic()))
            count = self.socket.recv_into(rest)
            if not count:
                return data[: nr_bytes - len(rest)]
            rest = rest[count:]
        return data


class _Listener(AssociationServer):
    """The listening socket; a connection more than it can bear is closed at once."""

    between_calls: Callable[[], None] = staticmethod(lambda: None)

    def service_actions(self) -> None:
        """Called five times a second."""
        super().service_actions()
        self.between_calls()

    def verify_request(self, request: Any, client_address: Any) -> bool:  # noqa: ARG002 - the library's signature
        """Whether a connection is served."""
        return len(self.active_associations) < MOST_CONNECTIONS

    def get_request(self) -> tuple[Any, Any]:
        """Take a connection; an answer is one small packet, which must not wait for more to go with it."""
        connection, address = super().get_request()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection, address

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - the library's signature
        """Cut a connection that could not be served; the library would print where it came from."""
        self.shutdown_request(request)

    def server_bind(self) -> None:
        """Bind; on Windows without the option that would let a second program listen at the same port."""
        if hasattr(socket, "SO_EXCLUSIVEADDRUSE"):
            self.allow_reuse_address = False
        super().server_bind()

    def shutdown_only(self) -> None:
        """End `serve_forever`."""
        super(AssociationServer, self).shutdown()


def _handler_with(inbox: Inbox) -> type[RequestHandler]:
    class Handler(RequestHandler):
        """Makes associations with our socket and our way of putting messages together."""

        def _create_association(self) -> Association:
            association = super()._create_association()
            association.dul.event_queue.get_nowait()  # the new socket tells of the connection once more
            association.dul.socket = _Socket(association, client_socket=self.request)
            association.dimse = _Fragments(association, inbox)
            return association

    return Handler
