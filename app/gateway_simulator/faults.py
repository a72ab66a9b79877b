"""The fault knobs: names, allowed values, current state."""

import random
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

MOST_LATENCY_MS = 60_000
MOST_HELD = 16  # half of the gateway's threads; the others stay free to release these
HOLD_SECONDS = 300.0  # after this, a held charge continues


class FaultsError(ValueError):
    """Unknown knob or invalid value; the message says what to send."""


class TooManyHeldError(Exception):
    """The maximum number of charges is already held."""


@dataclass(frozen=True)
class Knob:
    """A knob as the page shows it; ``help`` says what it does."""

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
        "Declines this share of new charges, even with a good card.",
        "share",
    ),
    Knob(
        "error_share",
        "error",
        "Errors",
        "share of charges and refunds, 0 to 1",
        "Responds with 500 before anything is recorded. No money is moved.",
        "share",
    ),
    Knob(
        "latency_ms",
        "latency",
        "Latency",
        "milliseconds, 0 to 60000",
        "Delays every API call by this time.",
        "ms",
    ),
    Knob(
        "hang_share",
        "hang",
        "Hangs",
        "share of charges and refunds, 0 to 1",
        "Sends nothing for 30 seconds, then closes the connection. Nothing is recorded.",
        "share",
    ),
    Knob(
        "lost_answer_share",
        "lost_answer",
        "Lost responses",
        "share of charges and refunds, 0 to 1",
        "Moves the money, then closes the connection without a response.",
        "share",
    ),
    Knob(
        "garbage_share",
        "garbage",
        "Garbage responses",
        "share of charges and refunds, 0 to 1",
        "Moves the money, then responds with 200 and a body that is not JSON.",
        "share",
    ),
    Knob(
        "trickle_share",
        "trickle",
        "Trickling responses",
        "share of charges and refunds, 0 to 1",
        "Moves the money, then sends the headers of the response, and its body a byte a second.",
        "share",
    ),
    Knob(
        "hold",
        "hold",
        "Hold charges",
        "on or off",
        "Holds up to 16 charges before anything is recorded, until this is switched off or for 5 "
        "minutes.",
        "switch",
    ),
    Knob(
        "off",
        "off",
        "Switched off",
        "on or off",
        "Closes the connection of every API call without a response. Nothing is recorded.",
        "switch",
    ),
)
_BY_NAME = {knob.name: knob for knob in KNOBS}


@dataclass(frozen=True)
class State:
    """Values of all knobs; by default, there are no faults."""

    decline_share: float = 0.0
    error_share: float = 0.0
    latency_ms: int = 0
    hang_share: float = 0.0
    lost_answer_share: float = 0.0
    garbage_share: float = 0.0
    trickle_share: float = 0.0
    hold: bool = False
    off: bool = False

    def as_dict(self) -> dict[str, float | int | bool]:
        """Return the values by name, for JSON."""
        return asdict(self)


class Faults:
    """The knobs of this process, kept in memory: a restart resets them."""

    def __init__(self, rng: random.Random | None = None) -> None:
        self._state = State()
        self._turn = threading.Condition()
        self._held = 0
        self._releases = 0
        self._rng = rng or random.Random()  # noqa: S311 - chance, not secrecy

    def now(self) -> State:
        """Return the current values as an immutable object."""
        return self._state

    def change(self, changes: object) -> State:
        """Set some knobs. Raises FaultsError, without any change, if a value is invalid."""
        checked: dict[str, Any] = _check(changes)
        with self._turn:
            return self._set(replace(self._state, **checked))

    def reset(self) -> State:
        """Turn off all faults."""
        with self._turn:
            return self._set(State())

    def _set(self, state: State) -> State:
        """Replace the state, and release held charges if ``hold`` is off."""
        self._state = state
        if not state.hold:
            self._releases += 1
            self._turn.notify_all()
        return state

    @property
    def held(self) -> int:
        """The number of charges currently held."""
        return self._held

    def hold(self) -> None:
        """If ``hold`` is on, wait until charges are released. Raises TooManyHeldError."""
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
        """Return True with probability ``share``; never for 0, always for 1."""
        return share > 0 and self._rng.random() < share


def from_form(form: Mapping[str, str]) -> dict[str, object]:
    """Convert the page's form fields for ``Faults.change``.

    Text that is not a number stays text, so that ``change`` rejects it with its usual message.
    """
    changes: dict[str, object] = {}
    for knob in KNOBS:
        if knob.kind == "switch":
            changes[knob.name] = knob.name in form  # browsers do not send unchecked boxes
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
        raise FaultsError(f"Send a JSON object with any of these: {', '.join(_BY_NAME)}.")
    checked: dict[str, Any] = {}
    for name, value in changes.items():
        if name not in _BY_NAME:
            raise FaultsError(f"Unknown knob {str(name)[:40]!r}. Use: {', '.join(_BY_NAME)}.")
        checked[name] = _checked_value(_BY_NAME[name], value)
    return checked


def _checked_value(knob: Knob, value: object) -> float | int | bool:
    # bool is a subclass of int, but true is not a number.
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
