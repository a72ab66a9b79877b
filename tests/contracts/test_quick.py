"""The files that `make quick` leaves out exist; a renamed one would be included."""

from tests.conftest import SLOW, SLOW_PATHS


def test_every_slow_place_exists() -> None:
    assert len(set(SLOW)) == len(SLOW) > 10
    assert [path for path in SLOW_PATHS if not path.exists()] == []
