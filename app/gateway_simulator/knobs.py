"""The fault knobs: names, allowed values, and what the page says of them."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

MOST_LATENCY_MS = 60_000
MOST_WAIT_MS = 24 * 3600 * 1000
MOST_UNTIL = timedelta(hours=24)


class FaultsError(ValueError):
    """Unknown knob or invalid value; the message says what to send."""


@dataclass(frozen=True)
class Knob:
    """A knob as the page shows it; ``help`` says what it does."""

    name: str
    fault: str  # the label in the metric gateway_fault_active
    label: str
    unit: str
    help: str
    kind: Literal["share", "ms", "switch"]
    most: int = MOST_LATENCY_MS  # of the kind "ms"


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
        "refund_pending_ms",
        "refund_pending",
        "Pending refunds",
        f"milliseconds, 0 to {MOST_WAIT_MS}",
        "Keeps new refunds pending for this time before they succeed, fail or are cancelled.",
        "ms",
        MOST_WAIT_MS,
    ),
    Knob(
        "refund_fail_share",
        "refund_fail",
        "Failed refunds",
        "share of new refunds, 0 to 1",
        "Fails this share of new refunds. Their amount can be refunded again.",
        "share",
    ),
    Knob(
        "refund_cancel_share",
        "refund_cancel",
        "Cancelled refunds",
        "share of new refunds, 0 to 1",
        "Cancels this share of new refunds. Their amount can be refunded again.",
        "share",
    ),
    Knob(
        "refund_late_fail_share",
        "refund_late_fail",
        "Refunds that fail late",
        "share of new refunds, 0 to 1",
        "Lets this share of new refunds succeed, and fail after “Time until late failures”.",
        "share",
    ),
    Knob(
        "refund_late_ms",
        "refund_late",
        "Time until late failures",
        f"milliseconds, 0 to {MOST_WAIT_MS}",
        "Time from the success of a refund to its late failure.",
        "ms",
        MOST_WAIT_MS,
    ),
    Knob(
        "key_life_ms",
        "key_life",
        "Forgotten keys",
        f"milliseconds, 0 to {MOST_WAIT_MS}; 0: never",
        "Forgets the Idempotency-Key of a refund this long after its first use. The same key then "
        "makes a second refund.",
        "ms",
        MOST_WAIT_MS,
    ),
    Knob(
        "dispute_share",
        "dispute",
        "Disputed charges",
        "share of charges, 0 to 1",
        "Opens a dispute on this share of charges when their first refund is requested, and "
        "refuses the refund.",
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
    """Values of all knobs, and when all faults end; by default, there are no faults."""

    decline_share: float = 0.0
    error_share: float = 0.0
    latency_ms: int = 0
    hang_share: float = 0.0
    lost_answer_share: float = 0.0
    garbage_share: float = 0.0
    trickle_share: float = 0.0
    refund_pending_ms: int = 0
    refund_fail_share: float = 0.0
    refund_cancel_share: float = 0.0
    refund_late_fail_share: float = 0.0
    refund_late_ms: int = 0
    key_life_ms: int = 0
    dispute_share: float = 0.0
    hold: bool = False
    off: bool = False
    until: datetime | None = None

    def as_dict(self) -> dict[str, float | int | bool | str | None]:
        """Return the values by name, for JSON."""
        until = self.until and self.until.astimezone(UTC).isoformat(timespec="milliseconds")
        return {**asdict(self), "until": until}


def from_form(form: Mapping[str, str]) -> dict[str, object]:
    """Convert the page's form fields for ``check``.

    Text that is not a number stays text, so that ``check`` rejects it with its usual message.
    """
    changes: dict[str, object] = {}
    for knob in KNOBS:
        if knob.kind == "switch":
            changes[knob.name] = knob.name in form  # browsers do not send unchecked boxes
        elif knob.name in form:
            changes[knob.name] = _number(form[knob.name].strip(), whole=knob.kind == "ms")
    return changes


def end_from_form(form: Mapping[str, str]) -> dict[str, object]:
    """Convert the page's field for the end of all faults for ``check``. Raises FaultsError."""
    typed = form.get("minutes", "").strip()
    if not typed:
        return {}
    minutes = _number(typed, whole=False)
    if isinstance(minutes, float) and 0 < minutes <= MOST_UNTIL / timedelta(minutes=1):
        return {"until": (datetime.now(UTC) + timedelta(minutes=minutes)).isoformat()}
    raise FaultsError("The minutes until all faults end must be a number, at most 1440.")


def _number(text: str, *, whole: bool) -> object:
    try:
        return int(text) if whole else float(text)
    except ValueError:
        return text


def check(changes: object) -> dict[str, Any]:
    """Return the changed values by name. Raises FaultsError if one is unknown or invalid."""
    if not isinstance(changes, dict):
        raise FaultsError(f"Send a JSON object with any of these: {', '.join(_BY_NAME)}.")
    checked: dict[str, Any] = {}
    for name, value in changes.items():
        if name == "until":
            checked[name] = _checked_until(value)
            continue
        if name not in _BY_NAME:
            raise FaultsError(f"Unknown knob {str(name)[:40]!r}. Use: {', '.join(_BY_NAME)}.")
        checked[name] = _checked_value(_BY_NAME[name], value)
    return checked


def _checked_until(value: object) -> datetime | None:
    if value is None:
        return None
    until, now = None, datetime.now(UTC)
    with suppress(ValueError):
        until = datetime.fromisoformat(value) if isinstance(value, str) else None
    if until and until.tzinfo and timedelta() < until - now <= MOST_UNTIL:
        return until
    raise FaultsError(
        "until must be null, or a time within the next 24 hours, in ISO 8601 with its offset."
    )


def _checked_value(knob: Knob, value: object) -> float | int | bool:
    # bool is a subclass of int, but true is not a number.
    if knob.kind == "switch":
        if isinstance(value, bool):
            return value
        raise FaultsError(f"{knob.name} must be true or false.")
    if knob.kind == "ms":
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= knob.most:
            return value
        raise FaultsError(
            f"{knob.name} must be a whole number of milliseconds from 0 to {knob.most}."
        )
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1:
        return float(value)
    raise FaultsError(f"{knob.name} must be a number from 0 to 1.")
