"""The originals: our own copies of what came in, one a content, named by the SHA-256 alone.

Three steps, so that a power cut leaves either nothing or a whole copy with its row (reliability.md 4):

1. `stage` writes the bytes to `incoming/`, under the name they will have. Nothing counts yet.
2. `settle` flushes all that is staged, says what it is about to do (`about_to`, a row in the history), renames, and
   flushes the folders. From here on the copies stand.
3. The history records whose they are, and lets go of the row of step 2 in the same transaction.

`keep` does 1 and 2 for one content at once. What was left between 2 and 3 is swept at the next start (`sweep`), by the
rows of step 2: no copy that the history knows is ever touched, and no folder has to be searched.

For other parts of the program: a disc is copied with `keep` (durable when it returns); who delivers into an inbox
folder has it watched as a `WatchedSource` of kind RECEIVER, and its files are removed after step 3; retention removes
copies within `removal`, which leaves those alone that come again at this moment; a restored history finds what it has
lost with `listing`.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from hashlib import sha256 as sha256_of
from pathlib import Path
from typing import BinaryIO

from aicorona_desktop.core.durable import ONLY_OURS, rename, sync_folder
from aicorona_desktop.intake.keeping import Spool, SpoolError, error_of

INCOMING = "incoming"
FLUSHES_AT_ONCE = 8
"""Flushed side by side, files share the commits of the file system: 0.1 instead of 2.8 ms each on ext4."""
_NAMED = re.compile(r"[0-9a-f]{64}")
_MIB = 1024 * 1024


class Originals(Spool):
    """Content-addressed copies below one folder, private to this user; all but staging from any thread."""

    def __init__(self, folder: Path, about_to: Callable[[tuple[str, ...]], None] = lambda _sha256s: None) -> None:
        """Prepare the store; nothing is made before the first copy.

        Args:
            folder: of the store.
            about_to: told the SHA-256 of every copy that is about to stand; returns when the history has them.
        """
        super().__init__(folder)
        self._about_to = about_to
        self._staged: dict[str, Path] = {}
        self._no_removal = threading.Lock()
        self._counted_on: set[str] = set()

    @property
    def staged(self) -> tuple[str, ...]:
        """The SHA-256 of all that waits for `settle`."""
        return tuple(self._staged)

    def keep(self, data: bytes | BinaryIO, sha256: str = "") -> Path:
        """Keep one content, durable when this returns, and say where; the same content again costs a look.

        Args:
            data: the bytes, or a stream of them, read to its end.
            sha256: in lower-case hex, if it is known; it is proved in any case.

        Raises:
            ValueError: the bytes have another SHA-256.
            SpoolError: they could not be written; nothing of them is left behind.
        """
        content = data if isinstance(data, bytes) else data.read()
        known = sha256_of(content).hexdigest()
        if sha256 and sha256 != known:
            raise ValueError("the bytes have another SHA-256")
        path = self.path_of(known)
        try:
            if not self._is_counted_on(path, known, len(content)):
                part = self._write(content, known)
                try:
                    self._stand({known: part})
                finally:
                    part.unlink(missing_ok=True)
        except OSError as error:
            raise error_of(error) from error
        return path

    def stage(self, data: bytes, sha256: str, *, proved: bool = False) -> Path:
        """Write bytes that `settle` will make stand; return where they will. Those kept already are proved again.

        Args:
            data: the bytes.
            sha256: theirs.
            proved: whether the caller has just computed it from these very bytes.

        Raises:
            ValueError: the bytes have another SHA-256.
            SpoolError: they could not be written; nothing of them is left behind.
        """
        path = self.path_of(sha256)
        if not proved and sha256_of(data).hexdigest() != sha256:
            raise ValueError("the bytes have another SHA-256")
        if sha256 in self._staged:
            return path
        try:
            if not self._is_counted_on(path, sha256, len(data)):
                self._staged[sha256] = self._write(data, sha256)
        except OSError as error:
            raise error_of(error) from error
        return path

    def settle(self) -> tuple[str, ...]:
        """Make all that is staged stand, on the disk; return the SHA-256 of it.

        Raises:
            SpoolError: the disk failed; what is staged stays staged, and nothing half stands under a name.
        """
        if not self._staged:
            return ()
        settled = tuple(self._staged)
        try:
            self._stand(self._staged)
        except OSError as error:
            raise error_of(error) from error
        self._staged.clear()
        return settled

    def _stand(self, parts: dict[str, Path]) -> None:
        """Flush parts, tell of them, give them their names and flush the folders; raises OSError."""
        self._about_to(tuple(parts))
        with ThreadPoolExecutor(min(FLUSHES_AT_ONCE, len(parts)), "flush") as threads:
            list(threads.map(_flush, parts.values()))
            folders = {self._folder_of(sha256) for sha256 in parts}
            for sha256, part in parts.items():
                if part.exists():  # else an earlier try came as far as this
                    rename(part, self.path_of(sha256))
            list(threads.map(sync_folder, (self.folder, *folders)))

    def drop_staged(self) -> None:
        """Let go of what is staged."""
        for part in self._staged.values():
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
        self._staged.clear()

    def read(self, sha256: str) -> bytes | None:
        """Return the bytes of a copy, proved; None where there is none, or it is damaged."""
        try:
            data = self.path_of(sha256).read_bytes()
        except OSError:
            return None
        return data if sha256_of(data).hexdigest() == sha256 else None

    def let_go(self, sha256s: Iterable[str]) -> None:
        """Count on copies no more: the history has recorded whose they are, or that they are nobody's."""
        with self._no_removal:
            self._counted_on.difference_update(sha256s)

    @contextlib.contextmanager
    def removal(self, sha256s: Iterable[str]) -> Iterator[tuple[str, ...]]:
        """Remove copies for good, but for those that have just come again; nothing is kept until the `with` ends.

        Within it the history records that they are gone. What came again stays, and is named by its rule anew.

        Raises:
            SpoolError: as `remove`.
        """
        with self._no_removal:
            going = tuple(one for one in sha256s if one not in self._counted_on)
            self.remove(going)
            yield going

    def remove(self, sha256s: Iterable[str]) -> int:
        """Remove copies, for good; return how many there were. Who asks has a row in the history that says so.

        Raises:
            SpoolError: one could not be removed; those before it are gone. Asking again goes on.
        """
        removed, folders = 0, set()
        try:
            for sha256 in sha256s:
                path = self.path_of(sha256)
                with contextlib.suppress(FileNotFoundError):
                    path.unlink()
                    removed += 1
                    folders.add(path.parent)
            for folder in folders:
                sync_folder(folder)
        except OSError as error:
            raise error_of(error) from error
        return removed

    def listing(self) -> Iterator[tuple[str, int]]:
        """Yield SHA-256 and size of every copy, in no order; not proved."""
        for folder in self._folders():
            with os.scandir(folder) as entries:
                for entry in entries:
                    if _NAMED.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                        yield entry.name, entry.stat(follow_symlinks=False).st_size

    def sweep(self, without_row: Iterable[str] = ()) -> int:
        """Remove what an earlier run has left behind: half copies, and whole ones that the history never recorded.

        For the start, before anything is staged; return how many files went.
        """
        swept = self.remove(without_row)
        for part in self._leftovers():
            with contextlib.suppress(OSError):
                part.unlink()
                swept += 1
        return swept

    def _is_counted_on(self, path: Path, sha256: str, size_bytes: int) -> bool:
        """Whether a whole copy stands; until `let_go` no rule removes it, nor the one that is written now."""
        with self._no_removal:
            self._counted_on.add(sha256)
            return _holds(path, sha256, size_bytes)

    def _leftovers(self) -> Iterator[Path]:
        incoming = self.folder / INCOMING
        if incoming.is_dir():
            yield from incoming.iterdir()
        for folder in self._folders():  # of `Spool`, which wrote beside the name
            yield from folder.glob(".*.part")

    def _folders(self) -> Iterator[Path]:
        if self.folder.is_dir():
            yield from (one for one in self.folder.iterdir() if len(one.name) == 2 and one.is_dir())

    def _write(self, data: bytes, sha256: str) -> Path:
        part = self.folder / INCOMING / f"{sha256}.{secrets.token_hex(4)}.part"
        self._make_folder(part.parent)
        try:
            with open(part, "wb", opener=partial(os.open, mode=ONLY_OURS)) as stream:
                stream.write(data)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        return part

    def _folder_of(self, sha256: str) -> Path:
        folder = self.path_of(sha256).parent
        self._make_folder(folder)
        return folder

    def _make_folder(self, folder: Path) -> None:
        if not folder.is_dir():
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.mkdir(mode=0o700, exist_ok=True)


def _flush(part: Path) -> None:
    if not part.exists():
        return
    with part.open("rb+") as stream:
        os.fsync(stream.fileno())


def _holds(path: Path, sha256: str, size_bytes: int) -> bool:
    """Whether a copy stands there whole; one that a failing disk has changed is written anew."""
    try:
        with path.open("rb") as stream:
            if os.fstat(stream.fileno()).st_size != size_bytes:
                return False
            digest = sha256_of()
            while block := stream.read(_MIB):
                digest.update(block)
    except FileNotFoundError:
        return False
    return digest.hexdigest() == sha256


__all__ = ["Originals", "SpoolError"]
