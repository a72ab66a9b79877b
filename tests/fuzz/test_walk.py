"""Every address of the shop, asked by everybody in every way, and then at random."""

from __future__ import annotations

from itertools import cycle, islice, product, repeat
from typing import TYPE_CHECKING

from tests.fuzz import hostile
from tests.fuzz.addresses import Address, addresses, labels
from tests.fuzz.shots import Shot
from tests.fuzz.watch import series

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random

    from tests.fuzz.conftest import Range
    from tests.fuzz.world import World

HUGE = 0.001  # how many of the bodies are 10 MB


def _path(address: Address, world: World, rng: Random) -> bytes:
    """Return a path as the server hands it on: what stood behind % is decoded."""
    values = world.real(address, rng)
    path = address.path(values).encode()
    kind = rng.random()
    if kind < 0.6:
        return path
    if kind < 0.65:
        return path.rstrip(b"/") or b"//"
    if kind < 0.7:
        return path + hostile.value(rng)
    if not values or kind < 0.75:
        return path if kind < 0.9 else b"/" + hostile.value(rng) + path
    spoiled = rng.choice(sorted(values))
    marked = address.path({**values, spoiled: "\ue000"}).encode()
    foreign = rng.choice(world.everything).encode()
    value = hostile.value(rng) if rng.random() < 0.8 else foreign
    return marked.replace("\ue000".encode(), value)


def _headers(rng: Random) -> dict[str, str]:
    some = rng.sample(sorted(hostile.HEADERS), rng.choice((0, 0, 1, 1, 2, 5)))
    # A wrong host ends most requests at once: it gets its share, and no more.
    return {
        name: rng.choice(hostile.HEADERS[name])
        for name in some
        if name not in {"HTTP_HOST", "wsgi.url_scheme", "HTTP_ORIGIN"} or rng.random() < 0.3
    }


def shot_at(address: Address, actor: str, method: str, world: World, rng: Random) -> Shot:
    """Return a hostile request to an address."""
    body = hostile.huge(rng) if rng.random() < HUGE else hostile.body(rng)
    if method in {"GET", "HEAD"} and rng.random() < 0.9:
        body = b""
    return Shot(
        actor,
        method,
        _path(address, world, rng),
        hostile.pairs(rng, model=address.model) if rng.random() < 0.5 else b"",
        _headers(rng),
        body,
        rng.choice(hostile.CONTENT_TYPES if rng.random() < 0.5 else (hostile.FORM,)),
        token=rng.random() < 0.5,
        cookies=rng.choice(hostile.COOKIES) if rng.random() < 0.15 else "",
    )


def _plan(world: World, rng: Random) -> Iterator[tuple[Address, str, str]]:
    """Yield every address with every method and everybody, then at random without end."""
    actors, known = list(world.sessions), addresses()
    for address in known:
        rng.shuffle(actors)
        yield from zip(repeat(address), cycle(actors), hostile.METHODS, strict=False)
    shop = [address for address in known if address.label != "admin"]
    pairs = list(product(shop, actors, hostile.METHODS))
    rng.shuffle(pairs)
    yield from pairs  # and in the shop with every pair of them
    while True:
        yield (
            rng.choice(rng.choice((shop, known))),
            rng.choice((*actors, "staff")),
            rng.choice((*hostile.METHODS, "GET", "GET", "POST", "POST")),
        )


def test_no_request_breaks_the_shop_or_changes_what_it_must_not(shooting: Range) -> None:
    gun, rng, before = shooting.gun, shooting.rng, series()
    for address, actor, method in islice(_plan(gun.world, rng), shooting.requests * 3 // 4):
        gun.fire(shot_at(address, actor, method, gun.world, rng))
    assert {method for _, method in gun.tally.answers} == set(hostile.METHODS)
    made = {value for _, found in series() - before for name, value in found if name == "view"}
    assert made
    assert made <= labels()


def test_a_stranger_makes_no_series(shooting: Range) -> None:
    gun, rng = shooting.gun, shooting.rng
    assert addresses()

    def stranger(number: int) -> Iterator[Shot]:
        mark = f"{number}{rng.randrange(10**9)}"
        for address in addresses():
            path = address.path(dict.fromkeys(address.parameters, mark)).encode()
            yield Shot("nobody", "GET", path, f"q={mark}&{mark}=1".encode())
        host = {"HTTP_HOST": f"h{mark}.example", "HTTP_X_REQUEST_ID": mark, "HTTP_USER_AGENT": mark}
        for place in (f"/{mark}/", f"/admin/{mark}/", f"/{mark}", f"/static/{mark}", "/"):
            path = place.encode()
            yield Shot("nobody", f"M{mark}", path)
            yield Shot("nobody", "GET", path, headers=host)
            yield Shot("nobody", "POST", path, body=mark.encode(), token=True)

    for shot in stranger(0):
        gun.fire(shot)
    before = series()
    for number in range(1, 4):
        for shot in stranger(number):
            gun.fire(shot)
    assert series() == before
