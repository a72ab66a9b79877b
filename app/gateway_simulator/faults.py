"""The current state of the fault knobs, and what they do to a call."""

import random
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from gateway_simulator import logs
from gateway_simulator.knobs import State, check

MOST_HELD = 16  # half of the gateway's threads; the others stay free to release these
HOLD_SECONDS = 300.0  # after this, a held charge continues


class TooManyHeldError(Exception):
    """The maximum number of charges is already held."""


class Faults:
    """The knobs of this process, kept in memory: a restart resets them.

    Faults with an `until` end by themselves, whatever becomes of who set them. The time left is
    measured by the monotonic clock, so that setting the machine's clock does not prolong them.
    """

    def __init__(
        self, rng: random.Random | None = None, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._monotonic = monotonic
        self._state = State()
        self._ends = float("inf")  # by the monotonic clock
        self._turn = threading.Condition()
        self._held = 0
        self._releases = 0
        self._rng = rng or random.Random()  # noqa: S311 - chance, not secrecy

    def now(self) -> State:
        """Return the current values as an immutable object."""
        if self._monotonic() >= self._ends:
            with self._turn:
                self._end_if_due()
        return self._state

    def _end_if_due(self) -> None:
        if self._monotonic() >= self._ends:
            self._set(State())
            logs.event("gateway.faults_ended")

    def change(self, changes: object) -> State:
        """Set some knobs. Raises FaultsError, without any change, if a value is invalid."""
        checked: dict[str, Any] = check(changes)
        with self._turn:
            self._end_if_due()
            return self._set(replace(self._state, **checked))

    def reset(self) -> State:
        """Turn off all faults."""
        with self._turn:
            return self._set(State())

    def _set(self, state: State) -> State:
        """Replace the state, and release held charges if ``hold`` is off."""
        if state.until is None:
            self._ends = float("inf")
        elif state.until != self._state.until:
            left = state.until - datetime.now(UTC)
            self._ends = self._monotonic() + left.total_seconds()
        self._state = state
        if not state.hold:
            self._releases += 1
        self._turn.notify_all()
        return state

    @property
    def held(self) -> int:
        """The number of charges currently held."""
        return self._held

    def hold(self) -> None:
        """If ``hold`` is on, wait until charges are released. Raises TooManyHeldError."""
        with self._turn:
            if not self.now().hold:
                return
            if self._held >= MOST_HELD:
                raise TooManyHeldError(f"{MOST_HELD} charges are already held.")
            before, ends = self._releases, self._monotonic() + HOLD_SECONDS
            self._held += 1
            try:
                while self._releases == before and (now := self._monotonic()) < ends:
                    self._turn.wait(min(ends, self._ends) - now)
                    self._end_if_due()
            finally:
                self._held -= 1

    def chance(self) -> float:
        """Return a random number from 0 to below 1."""
        return self._rng.random()

    def strikes(self, share: float) -> bool:
        """Return True with probability ``share``; never for 0, always for 1."""
        return share > 0 and self.chance() < share
