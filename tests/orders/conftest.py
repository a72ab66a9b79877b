"""What the tests of orders share with those of the ground floor."""

from tests.retail.conftest import lines

__all__ = ["lines"]
