"""What is to happen to one order: where its processes stop, and what its gateway does meanwhile.

The plan travels in the order's delivery name, so that the shop's own code carries it from process
to process without knowing of it.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass

WEB_STEPS = (
    "before reserve",
    "after reserve",
    "after the gateway call",
    "inside settle",
    "after settle",
)
INSIDE_RESERVE = "inside reserve"  # PostgreSQL's doing: see locks.py
WORKER_STEPS = ("after claim", "after the gateway call", "inside settle", "after settle")
LETTER_STEPS = ("before a letter", "with a letter noted", "with a letter sent")

# The knobs of the gateway; "declines" is the card's doing, "refused" has no gateway at all.
GATEWAYS: dict[str, dict[str, float]] = {
    "approves": {},
    "declines": {},
    "500": {"error_share": 1},
    "hangs": {"hang_share": 1},
    "answer lost": {"lost_answer_share": 1},
    "garbage": {"garbage_share": 1},
    "refused": {},
}
# With these it has charged although nobody was told.
CHARGES = {"approves", "answer lost", "garbage"}


@dataclass(frozen=True)
class Plan:
    """One order's plan. A step is "" where that process does not stop."""

    number: int
    gateway: str
    web: str = ""
    worker: str = ""
    sabotage: str = ""  # "new key" or "settles twice": a fault of the shop that must be seen

    def as_name(self) -> str:
        """Return it as a delivery name."""
        return "/".join(str(part) or "-" for part in astuple(self))

    @staticmethod
    def of(name: str) -> Plan | None:
        """Return the plan in a delivery name, or None for an ordinary one."""
        parts = name.split("/")
        if len(parts) != len(astuple(Plan(0, ""))):
            return None
        number, *words = ("" if part == "-" else part for part in parts)
        return Plan(int(number), *words)

    @property
    def card(self) -> str:
        """The card that the buyer pays with."""
        return "tok_declined" if self.gateway == "declines" else "tok_good"
