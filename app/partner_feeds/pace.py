"""Give way to customers while a file is taken in."""

from __future__ import annotations

from time import monotonic, sleep

from retail.measures import customers_pay

# A commit should take this long: customers wait for the locks of its products.
GOAL_SECONDS = 0.05
FEWEST, MOST = 20, 1000
# While customers pay, a pause is so many times as long as the work before it: their requests need
# the processors and the database that the file would have to itself.
PAUSE = 3.0
ASK_EVERY_SECONDS = 1.0


class Pace:
    """Decides how many rows a commit may have, and how long to pause after it."""

    def __init__(self) -> None:
        self.size = FEWEST
        self._pays, self._asked_at = False, float("-inf")

    def learn(self, rows: int, seconds: float) -> None:
        """Learn from how long a commit of so many rows has taken, and pause if need be."""
        fitting = int(rows * GOAL_SECONDS / max(seconds, 0.001))
        # By steps: now and then, a commit also has to merge new entries into the search index.
        self.size = min(max(fitting, self.size // 2, FEWEST), 2 * self.size, MOST)
        self.give_way(seconds)

    def give_way(self, seconds: float) -> None:
        """Pause after work of so many seconds if customers pay at present."""
        if monotonic() - self._asked_at >= ASK_EVERY_SECONDS:
            self._pays, self._asked_at = customers_pay(), monotonic()
        if self._pays:
            sleep(PAUSE * seconds)
