"""The plan of an order: where its processes stop, and how the gateway behaves.

The plan is encoded in the order's delivery name, which the shop's code passes between processes.
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
INSIDE_RESERVE = "inside reserve"  # by a lock in PostgreSQL: see locks.py
WORKER_STEPS = ("after claim", "after the gateway call", "inside settle", "after settle")
EMAIL_STEPS = ("before the e-mail", "before handing the e-mail over", "after the e-mail")

# The gateway's knobs; "declines" depends on the card, "refused" stops the gateway.
GATEWAYS: dict[str, dict[str, float]] = {
    "approves": {},
    "declines": {},
    "500": {"error_share": 1},
    "hangs": {"hang_share": 1},
    "answer lost": {"lost_answer_share": 1},
    "garbage": {"garbage_share": 1},
    "trickles": {"trickle_share": 1},
    "refused": {},
}
# With these the gateway has charged, even if its answer was lost.
CHARGES = {"approves", "answer lost", "garbage", "trickles"}


@dataclass(frozen=True)
class Plan:
    """The plan of an order. A step is "" if that process does not stop."""

    number: int
    gateway: str
    web: str = ""
    worker: str = ""
    sabotage: str = ""  # "new key" or "settles twice": a bug in the shop that must be detected

    def as_name(self) -> str:
        """Return the plan encoded as a delivery name."""
        return "/".join(str(part) or "-" for part in astuple(self))

    @staticmethod
    def of(name: str) -> Plan | None:
        """Return the plan encoded in a delivery name, or None."""
        parts = name.split("/")
        if len(parts) != len(astuple(Plan(0, ""))):
            return None
        number, *words = ("" if part == "-" else part for part in parts)
        return Plan(int(number), *words)

    @property
    def card(self) -> str:
        """The buyer's test card."""
        return "tok_declined" if self.gateway == "declines" else "tok_good"
