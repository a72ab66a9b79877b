"""Read a partner's file to see what would come of it. Nothing is stored."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING, BinaryIO, cast

from partner_feeds.reading.items import read_items
from partner_feeds.reading.problems import FeedError, Reject

if TYPE_CHECKING:
    from partner_feeds.models import Partner
    from partner_feeds.reading.items import Item

SHOWN = 20  # rejected rows, and notes
FIRST = 5  # good rows
MOST_KEYS = 200_000  # that are compared with each other: some 20 MB


@dataclass
class Trial:
    """What a file would bring, as far as it was read."""

    rows: int = 0
    good: int = 0
    codes: Counter[str] = field(default_factory=Counter)  # of rejected rows
    rejects: list[Reject] = field(default_factory=list)  # the first SHOWN
    notes: list[tuple[int, str]] = field(default_factory=list)  # the first SHOWN, by line
    noted: int = 0
    first: list[Item] = field(default_factory=list)  # good rows
    stopped: str = ""  # the limit at which reading stopped, in words
    all_keys: bool = True  # were compared with each other
    error: FeedError | None = None  # why the whole file is refused

    def add(self, row: Item | Reject) -> None:
        """Count a row."""
        self.rows += 1
        if isinstance(row, Reject):
            self.reject(row)
            return
        self.good += 1
        if len(self.first) < FIRST:
            self.first.append(row)
        self.noted += len(row.notes)
        self.notes += [(row.line, note) for note in row.notes][: SHOWN - len(self.notes)]

    def reject(self, row: Reject) -> None:
        """Count a rejected row."""
        self.codes[row.code] += 1
        if len(self.rejects) < SHOWN:
            self.rejects.append(row)


class _Keys:
    """Finds keys that are in the file twice, by their hashes."""

    def __init__(self, partner: Partner) -> None:
        self._key = partner.key
        self._lines: dict[int, int] = {}  # the line of a key's first row
        self._doubled: set[int] = set()

    def compare(self, item: Item, trial: Trial) -> None:
        """Reject a row whose key another row has, and that other row."""
        key = hash(self._key(item.sku))
        first = self._lines.get(key)
        if first is None:
            if len(self._lines) < MOST_KEYS:
                self._lines[key] = item.line
            else:
                trial.all_keys = False
            return
        if key not in self._doubled:
            self._doubled.add(key)
            self._reject(first, item.sku, item.line, trial)
        self._reject(item.line, item.sku, first, trial)

    @staticmethod
    def _reject(line: int, sku: str, other: int, trial: Trial) -> None:
        trial.good -= 1
        sentence = f"The key {sku} is also in line {other}."
        trial.reject(Reject(line, "key_twice", sentence, {"sku": sku}))


class _TimeIsUpError(Exception):
    """The file was read for as long as was allowed."""


class _Timed:
    """A file that can be read until a time: rows alone may be far apart."""

    def __init__(self, file: BinaryIO, seconds: float) -> None:
        self._file = file
        self._until = monotonic() + seconds

    def read(self, size: int = -1) -> bytes:
        if monotonic() > self._until:
            raise _TimeIsUpError
        return self._file.read(size)


def try_file(
    partner: Partner,
    file: BinaryIO,
    *,
    most_rows: float = float("inf"),
    seconds: float = float("inf"),
) -> Trial:
    """Read a file by a partner's settings, up to so many rows and seconds.

    Rows are not compared with the shop. A refused file is the trial's `error`.
    """
    trial, keys = Trial(), _Keys(partner)
    timed = cast("BinaryIO", _Timed(file, seconds))
    try:
        for row in read_items(timed, partner.options()):
            if trial.rows >= most_rows:
                trial.stopped = f"after {trial.rows:,} rows"
                break
            trial.add(row)
            if not isinstance(row, Reject):
                keys.compare(row, trial)
        else:
            if not trial.good:
                sentence = "Each row has a key that another row has, too."
                trial.error = FeedError("no_good_row", sentence)
    except _TimeIsUpError:
        trial.stopped = f"after {seconds:g} seconds"
    except FeedError as error:
        trial.error = error
    trial.rejects.sort(key=lambda row: row.line)
    return trial
