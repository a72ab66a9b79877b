"""The fault knobs: what they are called, what they may be set to, what they are set to now."""

import random
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

MOST_LATENCY_MS = 60_000
MOST_HELD = 16  # half of the gateway's threads: the others must be free to release these
HOLD_SECONDS = 300.0  # then a held charge goes on by itself


class FaultsError(ValueError):
    """A knob that does not exist or a value out of its range; the text says what to send."""


class TooManyHeldError(Exception):
    """As many charges are held as can be."""


@dataclass(frozen=True)
class Knob:
    """One knob as people see it: ``help`` is the sentence which says what it does."""

    name: str
    fault: str  # the label in the metric gateway_fault_active
    label: str
    unit: str
    help: str
    kind: Literal["share", "ms", "switch"]


KNOBS = (
    Knob(
        "decline_share",
        "decline",
        "Declined charges",
        "share of new charges, 0 to 1",
        "Declines this share of the new charges, even with a good card.",
        "share",
    ),
    Knob(
        "error_share",
        "error",
        "Errors",
        "share of charges and refunds, 0 to 1",
        "Answers 500 before anything is recorded: no money has moved.",
        "share",
    ),
    Knob(
        "latency_ms",
        "latency",
        "Latency",
        "milliseconds, 0 to 60000",
        "Makes every call of the API wait this long before it is worked on.",
        "ms",
    ),
    Knob(
        "hang_share",
        "hang",
        "Hangs",
        "share of charges and refunds, 0 to 1",
        "Says nothing for 30 seconds, records nothing, then closes the connection.",
        "share",
    ),
    Knob(
        "lost_answer_share",
        "lost_answer",
        "Lost answers",
        "share of charges and refunds, 0 to 1",
        "Moves the money, then closes the connection without an answer.",
        "share",
    ),
    Knob(
        "garbage_share",
        "garbage",
        "Garbage answers",
        "share of charges and refunds, 0 to 1",
        "Moves the money, then answers 200 with a body that is not JSON.",
        "share",
    ),
    Knob(
        "hold",
        "hold",
        "Hold charges",
        "on or off",
        "Makes charges wait before anything is recorded, until this is switched off (5 minutes at "
        "most, 16 charges at most).",
        "switch",
    ),
    Knob(
        "off",
        "off",
        "Switched off",
        "on or off",
        "Closes the connection of every call of the API, with no answer and nothing done.",
        "switch",
    ),
)
_BY_NAME = {knob.name: knob for knob in KNOBS}


@dataclass(frozen=True)
class State:
    """One setting of all the knobs; the default is a gateway without faults."""

    decline_share: float = 0.0
    error_share: float = 0.0
    latency_ms: int = 0
    hang_share: float = 0.0
    lost_answer_share: float = 0.0
    garbage_share: float = 0.0
    hold: bool = False
    off: bool = False

    def as_dict(self) -> dict[str, float | int | bool]:
        """Return the knobs by name, ready for JSON."""
        return asdict(self)


class Faults:
    """The knobs of this process, in memory: a restart forgets them."""

    def __init__(self, rng: random.Random | None = None) -> None:
        self._state = State()
        self._turn = threading.Condition()
        self._held = 0
        self._releases = 0
        self._rng = rng or random.Random()  # noqa: S311 - chance, not secrecy

    def now(self) -> State:
        """Return the knobs as they stand; the answer never changes under its reader."""
        return self._state

    def change(self, changes: object) -> State:
        """Set some of the knobs, all or nothing. Raises FaultsError and then changes nothing."""
        checked: dict[str, Any] = _check(changes)
        with self._turn:
            return self._set(replace(self._state, **checked))

    def reset(self) -> State:
        """Turn every fault off."""
        with self._turn:
            return self._set(State())

    def _set(self, state: State) -> State:
        """Replace the state, and release the held charges when ``hold`` is off in it."""
        self._state = state
        if not state.hold:
            self._releases += 1
            self._turn.notify_all()
        return state

    @property
    def held(self) -> int:
        """The number of charges that are held at this moment."""
        return self._held

    def hold(self) -> None:
        """Wait until the next release, if charges are held. Raises TooManyHeldError."""
        with self._turn:
            if not self._state.hold:
                return
            if self._held >= MOST_HELD:
                raise TooManyHeldError(f"{MOST_HELD} charges are already held.")
            before = self._releases
            self._held += 1
            try:
                self._turn.wait_for(lambda: self._releases != before, HOLD_SECONDS)
            finally:
                self._held -= 1

    def strikes(self, share: float) -> bool:
        """Draw once: True in ``share`` (0..1) of the calls; never for 0, always for 1."""
        return share > 0 and self._rng.random() < share


def from_form(form: Mapping[str, str]) -> dict[str, object]:
    """Turn the fields of the page's form into what ``Faults.change`` takes.

    A text which is no number stays a text, so that ``change`` refuses it with its sentence.
    """
    changes: dict[str, object] = {}
    for knob in KNOBS:
        if knob.kind == "switch":
            changes[knob.name] = knob.name in form  # an unticked box is not sent at all
        elif knob.name in form:
            changes[knob.name] = _number(form[knob.name].strip(), whole=knob.kind == "ms")
    return changes


def _number(text: str, *, whole: bool) -> object:
    try:
        return int(text) if whole else float(text)
    except ValueError:
        return text


def _check(changes: object) -> dict[str, Any]:
    if not isinstance(changes, dict):
        raise FaultsError(f"Send a JSON object with any of: {', '.join(_BY_NAME)}.")
    checked: dict[str, Any] = {}
    for name, value in changes.items():
        if name not in _BY_NAME:
            raise FaultsError(
                f"There is no knob {str(name)[:40]!r}; there are: {', '.join(_BY_NAME)}."
            )
        checked[name] = _checked_value(_BY_NAME[name], value)
    return checked


def _checked_value(knob: Knob, value: object) -> float | int | bool:
    # bool is an int in Python: true must not pass for the number 1.
    if knob.kind == "switch":
        if isinstance(value, bool):
            return value
        raise FaultsError(f"{knob.name} must be true or false.")
    if knob.kind == "ms":
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_LATENCY_MS:
            return value
        raise FaultsError(
            f"{knob.name} must be a whole number of milliseconds from 0 to {MOST_LATENCY_MS}."
        )
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1:
        return float(value)
    raise FaultsError(f"{knob.name} must be a number from 0 to 1.")
