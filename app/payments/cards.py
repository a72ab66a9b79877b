"""Which cards the shop takes: test cards only where stand-ins are allowed."""

import re

from django.conf import settings

# The gateway simulator's. The shop stores only the token that identifies a card.
TEST_CARDS = (
    ("tok_good", "Test card that is accepted"),
    ("tok_declined", "Test card that is declined"),
    ("tok_slow", "Test card with a slow bank"),
)
TOKEN = re.compile(r"[A-Za-z0-9_-]{8,64}")
_TEST_PREFIX = "tok_"


def card_problem(token: str) -> str:
    """Return why this card is not charged, or nothing."""
    if settings.STAND_INS:
        return ""
    if token.lower().startswith(_TEST_PREFIX):
        return "This shop doesn't take test cards."
    return "" if TOKEN.fullmatch(token) else "This is not a card token."
