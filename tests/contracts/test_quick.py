"""What `make quick` leaves out is there: a file that is renamed would otherwise be in it."""

from tests.conftest import SLOW, SLOW_PATHS


def test_every_slow_place_exists() -> None:
    assert len(set(SLOW)) == len(SLOW) > 10
    assert [path for path in SLOW_PATHS if not path.exists()] == []
