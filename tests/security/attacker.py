"""An attacker: tries on a running shop what docs/security.md says is refused.

    python tests/security/attacker.py http://localhost:8000
    python tests/security/attacker.py http://localhost:8000 --gateway http://localhost:8001

Knows what a stranger knows, buys nothing without `--card`, and uses up the limits of its address
for some minutes. Prints each attempt; exits with 1 if one succeeds. Only for shops of your own.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).resolve().parents[2]
if __name__ == "__main__":
    sys.path[:0] = [str(ROOT), str(ROOT / "app")]

from tests.security.attacks import accounts, money, wire
from tests.security.target import BrokenIn, Target

if TYPE_CHECKING:
    from collections.abc import Callable

ATTACKS: tuple[Callable[[Target], None], ...] = (
    *(*money.ATTACKS, *accounts.ATTACKS, *wire.ATTACKS),
    *(*accounts.FLOODS, *wire.FLOODS),  # last, because they use up the limits of an address
)


def main() -> int:
    """Attack the shop; return the exit status."""
    parser = argparse.ArgumentParser(description="Try on a shop what it should refuse.")
    parser.add_argument("url", help="the shop's address")
    parser.add_argument("--gateway", default="", help="the payment gateway's address")
    parser.add_argument("--card", default="", help="a card to buy with, to see that buyers can")
    parser.add_argument("--staff", default="", help="name:password of staff")
    chosen = parser.parse_args()
    gateway = chosen.gateway.rstrip("/")
    target = Target(chosen.url.rstrip("/"), gateway, chosen.card, chosen.staff)
    succeeded = 0
    for attack in ATTACKS:
        try:
            attack(target)
        except BrokenIn as how:
            succeeded += 1
            print(f"BROKEN IN  {attack.__doc__}  {how}")
        else:
            print(f"refused    {attack.__doc__}")
    return 1 if succeeded else 0


if __name__ == "__main__":
    sys.exit(main())
