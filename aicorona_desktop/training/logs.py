"""The CSV files of a run, and TensorBoard's where it is installed; rows after the last checkpoint are written anew."""

from __future__ import annotations

import contextlib
import csv
import io
from pathlib import Path
from typing import Any, Final

from aicorona_desktop.core.durable import write_file

LOG: Final = "log.csv"
TUNE: Final = "tune.csv"
LOG_COLUMNS: Final = (
    *("stage", "step", "loss", "labels", "soft labels", "ranking", "consistency", "teacher"),
    *("source guess", "confusion", "rate", "seconds"),
)


class Logs:
    """Open them with `with`; a run that goes on keeps the rows up to its checkpoint."""

    def __init__(self, out: Path, history: list[dict[str, float | str]], steps_done: int, *, write: bool) -> None:
        self._out, self._history, self._steps_done, self._write = out, history, steps_done, write
        self._board: Any = None

    def __enter__(self) -> Logs:
        if self._write:
            self._stream = (self._out / LOG).open("w+" if not self._steps_done else "r+", encoding="utf-8", newline="")
            self._table = csv.DictWriter(self._stream, LOG_COLUMNS, lineterminator="\n")
            self._go_on_after_checkpoint()
            with contextlib.suppress(ImportError):
                from torch.utils.tensorboard import SummaryWriter

                self._board = SummaryWriter(str(self._out / "tensorboard"), purge_step=self._steps_done + 1)
        return self

    def __exit__(self, *_error: object) -> None:
        if self._write:
            self._stream.close()
        if self._board is not None:
            self._board.close()

    def _go_on_after_checkpoint(self) -> None:
        """Drop the rows of steps that a killed run had done after its last checkpoint."""
        rows = [row for row in csv.DictReader(self._stream) if int(row["step"] or 0) <= self._steps_done]
        self._stream.seek(0)
        self._stream.truncate()
        self._table.writeheader()
        self._table.writerows(rows)

    def step(self, stage: str, step: int, losses: dict[str, float]) -> None:
        if not self._write:
            return
        rounded = {name: f"{value:.6g}" for name, value in losses.items()}
        self._table.writerow({"stage": stage, "step": step, **rounded})
        self._stream.flush()
        if self._board is not None:
            for name, value in losses.items():
                self._board.add_scalar(name, value, step)

    def tune(self, row: dict[str, float | str]) -> None:
        columns = list(dict.fromkeys(name for one in self._history for name in one))
        text = io.StringIO()
        table = csv.DictWriter(text, columns, lineterminator="\n")
        table.writeheader()
        table.writerows(self._history)
        write_file(self._out / TUNE, text.getvalue().encode())
        if self._board is not None:
            for name, value in row.items():
                if isinstance(value, float):
                    self._board.add_scalar(f"tune/{name}", value, int(row["step"]))
