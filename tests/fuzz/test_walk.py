"""Every route of the shop, with every method by every user, and then at random."""

from __future__ import annotations

from itertools import cycle, islice, product, repeat
from typing import TYPE_CHECKING

from tests.fuzz import hostile
from tests.fuzz.fuzzer import FuzzRequest
from tests.fuzz.observers import series
from tests.fuzz.routes import Route, labels, routes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random

    from tests.fuzz.conftest import FuzzSession
    from tests.fuzz.world import World

HUGE_SHARE = 0.001  # of bodies


def _path(route: Route, world: World, rng: Random) -> bytes:
    """Return a path as the server passes it on, with percent-encoding decoded."""
    values = world.real(route, rng)
    path = route.path(values).encode()
    kind = rng.random()
    if kind < 0.6:
        return path
    if kind < 0.65:
        return path.rstrip(b"/") or b"//"
    if kind < 0.7:
        return path + hostile.value(rng)
    if not values or kind < 0.75:
        return path if kind < 0.9 else b"/" + hostile.value(rng) + path
    mutated = rng.choice(sorted(values))
    marked = route.path({**values, mutated: "\ue000"}).encode()
    foreign = rng.choice(world.everything).encode()
    value = hostile.value(rng) if rng.random() < 0.8 else foreign
    return marked.replace("\ue000".encode(), value)


def _headers(rng: Random) -> dict[str, str]:
    names = rng.sample(sorted(hostile.HEADERS), rng.choice((0, 0, 1, 1, 2, 5)))
    # A wrong host ends most requests early, so send it less often.
    return {
        name: rng.choice(hostile.HEADERS[name])
        for name in names
        if name not in {"HTTP_HOST", "wsgi.url_scheme", "HTTP_ORIGIN"} or rng.random() < 0.3
    }


def hostile_request(
    route: Route, actor: str, method: str, world: World, rng: Random
) -> FuzzRequest:
    """Return a hostile request to a route."""
    body = hostile.huge(rng) if rng.random() < HUGE_SHARE else hostile.body(rng)
    if method in {"GET", "HEAD"} and rng.random() < 0.9:
        body = b""
    return FuzzRequest(
        actor,
        method,
        _path(route, world, rng),
        hostile.pairs(rng, model=route.model) if rng.random() < 0.5 else b"",
        _headers(rng),
        body,
        rng.choice(hostile.CONTENT_TYPES if rng.random() < 0.5 else (hostile.FORM,)),
        token=rng.random() < 0.5,
        cookies=rng.choice(hostile.COOKIES) if rng.random() < 0.15 else "",
    )


def _plan(world: World, rng: Random) -> Iterator[tuple[Route, str, str]]:
    """Yield every route with every method, then endless random combinations."""
    actors, known = list(world.sessions), routes()
    for route in known:
        rng.shuffle(actors)
        yield from zip(repeat(route), cycle(actors), hostile.METHODS, strict=False)
    shop = [route for route in known if route.label != "admin"]
    pairs = list(product(shop, actors, hostile.METHODS))
    rng.shuffle(pairs)
    yield from pairs  # every combination in the shop
    while True:
        yield (
            rng.choice(rng.choice((shop, known))),
            rng.choice((*actors, "staff")),
            rng.choice((*hostile.METHODS, "GET", "GET", "POST", "POST")),
        )


def test_no_request_breaks_the_shop_or_changes_other_tables(session: FuzzSession) -> None:
    fuzzer, rng, before = session.fuzzer, session.rng, series()
    for route, actor, method in islice(_plan(fuzzer.world, rng), session.requests * 3 // 4):
        fuzzer.send_and_check(hostile_request(route, actor, method, fuzzer.world, rng))
    assert {method for _, method in fuzzer.tally.responses} == set(hostile.METHODS)
    views = {value for _, pairs in series() - before for name, value in pairs if name == "view"}
    assert views
    assert views <= labels()


def test_unknown_values_create_no_series(session: FuzzSession) -> None:
    fuzzer, rng = session.fuzzer, session.rng
    assert routes()

    def requests_of(number: int) -> Iterator[FuzzRequest]:
        mark = f"{number}{rng.randrange(10**9)}"
        for route in routes():
            path = route.path(dict.fromkeys(route.parameters, mark)).encode()
            yield FuzzRequest("nobody", "GET", path, f"q={mark}&{mark}=1".encode())
        host = {"HTTP_HOST": f"h{mark}.example", "HTTP_X_REQUEST_ID": mark, "HTTP_USER_AGENT": mark}
        for place in (f"/{mark}/", f"/admin/{mark}/", f"/{mark}", f"/static/{mark}", "/"):
            path = place.encode()
            yield FuzzRequest("nobody", f"M{mark}", path)
            yield FuzzRequest("nobody", "GET", path, headers=host)
            yield FuzzRequest("nobody", "POST", path, body=mark.encode(), token=True)

    for request in requests_of(0):
        fuzzer.send_and_check(request)
    before = series()
    for number in range(1, 4):
        for request in requests_of(number):
            fuzzer.send_and_check(request)
    assert series() == before
