"""A cache that hangs or never stops answering delays a request once, and refuses nobody."""

from __future__ import annotations

import logging
import socket
import threading
from contextlib import contextmanager, suppress
from itertools import count
from typing import TYPE_CHECKING

import pytest
from django.core.cache import cache

from retail import throttling
from retail.throttling import is_first, throttle
from tests.support import moved

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_django import Settings

pytestmark = pytest.mark.django_db

LOST = 'retail_telemetry_errors_total{sink="metrics"}'


def silent(connection: socket.socket) -> None:
    while connection.recv(65536):
        pass


def trickling(connection: socket.socket) -> None:
    """Answer with a number of ever more digits."""
    connection.settimeout(0.05)
    for digit in count():
        connection.sendall(b"1" if digit else b":")
        with suppress(TimeoutError):
            if connection.recv(65536) == b"":
                return


def flooding(connection: socket.socket) -> None:
    """Answer with a text of 10 GB."""
    connection.recv(65536)
    connection.sendall(b"$10000000000\r\n")
    while True:
        connection.sendall(b"a" * 65536)


@contextmanager
def cache_server(settings: Settings, behave: Callable[[socket.socket], None]) -> Iterator[None]:
    """Serve every connection, each in a thread, and point the cache to it."""

    def serve(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            behave(connection)

    def accept(listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=serve, args=(connection,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, args=(listener,), daemon=True).start()
        settings.CACHES = {
            "default": {
                "BACKEND": "django.core.cache.backends.redis.RedisCache",
                "LOCATION": f"redis://127.0.0.1:{listener.getsockname()[1]}",
                "OPTIONS": {"pool_class": "retail.cache.BoundPool", "socket_timeout": 60},
            }
        }
        yield
        settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
        listener.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("behave", [silent, trickling, flooding])
def test_requests_pass_and_wait_once_for_all_their_counts(
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    behave: Callable[[socket.socket], None],
) -> None:
    monkeypatch.setattr(throttling, "CACHE_SECONDS", 60 if behave is flooding else 0.3)
    with cache_server(settings, behave), moved() as changes:
        keys = [f"7:{number}" for number in range(11)]
        throttle("checkout", keys, limit=1, seconds=60, user_id=7)
    assert changes == {LOST: 1}
    failures = [one for one in caplog.records if one.message == "event=throttle.cache_failed"]
    assert len(failures) == 1
    assert failures[0].levelno == logging.ERROR


def test_without_an_answer_everything_is_the_first(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(throttling, "CACHE_SECONDS", 0.3)
    with cache_server(settings, trickling), moved() as changes:
        assert is_first("a click", seconds=10)
    assert changes == {LOST: 1}


def test_the_cache_of_a_shop_with_valkey_is_bound(settings: Settings) -> None:
    with cache_server(settings, silent):
        pool = cache._cache._get_connection_pool(write=True)  # type: ignore[attr-defined]
        connection = pool.make_connection()
        sock = connection._connect()
        assert type(sock).__module__ == "retail.sockets"
        sock.close()
