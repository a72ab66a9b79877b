"""References of orders, returns and refunds, for reading aloud."""

import secrets

_ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"  # without what is easily confused


def random_reference(prefix: str) -> str:
    """Return a random reference, which does not reveal how many there are."""
    return f"{prefix}-" + "".join(secrets.choice(_ALPHABET) for _ in range(10))
