"""The forms that pages show, and what may be put into them."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import TYPE_CHECKING
from urllib.parse import quote_plus, urljoin, urlsplit

from tests.fuzz import hostile
from tests.fuzz.shots import Shot
from tests.fuzz.world import LOCKED_OUT, PASSWORD, TOKEN

if TYPE_CHECKING:
    from random import Random

# What a person would type into an empty field; else a word.
TYPED = {
    "username": ("customer", "staff", "new-customer", LOCKED_OUT),
    "password": (PASSWORD, "wrong"),
    "password1": (PASSWORD,),
    "password2": (PASSWORD,),
    "new_password1": (PASSWORD,),
    "new_password2": (PASSWORD,),
    "old_password": (PASSWORD,),
    "usable_password": ("true",),
    "email": ("customer@example.com", "new@example.com"),
    "quantity": ("1", "2", "10"),
    "stock_difference": ("", "5", "-1", "-1000"),
    "price": ("12.50", "0"),
    "flash_price": ("", "1.00"),
    "flash_starts_at_0": ("", "2030-01-01"),
    "flash_starts_at_1": ("", "10:00"),
    "flash_ends_at_0": ("", "2030-01-02"),
    "flash_ends_at_1": ("", "10:00"),
    "reason": ("", "night shift"),
    "minutes": ("", "1", "240", "241"),
    "payment_token": ("tok_good", "tok_declined", "tok_slow"),
    "action": ("", "delete_selected"),
}


@dataclass
class Input:
    """A field: its name, what it holds, and what else it offers."""

    name: str
    values: list[str]
    choices: list[str] = field(default_factory=list)


@dataclass
class Form:
    """A form that posts, as somebody sees it."""

    actor: str
    action: str
    inputs: list[Input] = field(default_factory=list)
    buttons: list[tuple[str, str]] = field(default_factory=list)

    @property
    def key(self) -> tuple[str, str, tuple[str, ...]]:
        """What makes it another form."""
        return self.actor, self.action, tuple(one.name for one in self.inputs)

    def filled(self, rng: Random) -> list[tuple[str, bytes]]:
        """Return what a person might send."""
        pairs: list[tuple[str, bytes]] = []
        for one in self.inputs:
            values = one.values
            if one.choices and rng.random() < 0.3:
                values = [rng.choice(one.choices)]
            elif one.name in TYPED and (not one.values or not one.values[0]):
                values = [rng.choice(TYPED[one.name])]
            elif one.values == [""] and rng.random() < 0.7:
                values = ["word"]
            pairs += [(one.name, value.encode()) for value in values]
        if self.buttons:
            name, value = rng.choice(self.buttons)
            pairs.append((name, value.encode()))
        return pairs

    def shot(self, rng: Random, wrong: tuple[int, ...] = (0, 0, 1, 1, 1, 2, 3, 8)) -> Shot:
        """Return a request that sends the form with none, one or several things wrong."""
        pairs = [pair for pair in self.filled(rng) if pair[0] != "csrfmiddlewaretoken"]
        for _ in range(rng.choice(wrong)):
            self._spoil(pairs, rng)
        pairs.append(("csrfmiddlewaretoken", TOKEN.encode()))
        if rng.random() < 0.2:
            body, content_type = hostile.multipart(pairs), hostile.CONTENT_TYPES[-3]
        else:
            # A browser never sends what is no UTF-8; others do.
            parts = [f"{quote_plus(name)}=".encode() + _typed(value) for name, value in pairs]
            body, content_type = b"&".join(parts), hostile.FORM
        target = urlsplit(self.action)
        query = target.query.encode()
        if rng.random() < 0.1:
            query = hostile.pairs(rng)
        return Shot(
            self.actor, "POST", target.path.encode(), query, {}, body, content_type, token=True
        )

    @staticmethod
    def _spoil(pairs: list[tuple[str, bytes]], rng: Random) -> None:
        if not pairs or rng.random() < 0.1:
            pairs.append((rng.choice(hostile.NAMES), hostile.value(rng)))
            return
        place = rng.randrange(len(pairs))
        name, value = pairs[place]
        kind = rng.randrange(12)
        if kind == 0:
            del pairs[place]
        elif kind == 1:
            pairs.append((name, hostile.value(rng)))
        elif kind == 2:
            pairs[place] = (name, value * 50)
        elif kind == 3:
            pairs[place] = (name, value + hostile.value(rng))
        elif kind == 4:
            pairs[place] = (name, rng.choice(pairs)[1])
        else:
            pairs[place] = (name, hostile.value(rng))


def _typed(value: bytes) -> bytes:
    return quote_plus(value).encode()


class _Reader(HTMLParser):
    """Collects the forms of a page that post."""

    def __init__(self, actor: str, address: str) -> None:
        super().__init__()
        self.actor, self.address = actor, address
        self.forms: list[Form] = []
        self.form: Form | None = None
        self.select: Input | None = None
        self.textarea: Input | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        facts = {name: value or "" for name, value in attrs}
        if tag == "form" and facts.get("method", "").lower() == "post":
            self.form = Form(self.actor, urljoin(self.address, facts.get("action", "")))
            self.forms.append(self.form)
        elif tag == "option" and self.select is not None:
            self.select.choices.append(facts.get("value", ""))
            if "selected" in facts:
                self.select.values.append(facts.get("value", ""))
        elif self.form is not None and facts.get("name"):
            self._field(self.form, tag, facts)

    def _field(self, form: Form, tag: str, facts: dict[str, str]) -> None:
        name, kind, value = facts["name"], facts.get("type", "text"), facts.get("value", "")
        if tag == "button" or kind == "submit":
            form.buttons.append((name, value))
        elif tag == "select":
            self.select = Input(name, [])
            form.inputs.append(self.select)
        elif tag == "textarea":
            self.textarea = Input(name, [""])
            form.inputs.append(self.textarea)
        elif tag == "input" and kind in {"checkbox", "radio"}:
            chosen = [value] if "checked" in facts else []
            same = next((one for one in form.inputs if one.name == name), None)
            if same is None:
                form.inputs.append(Input(name, chosen, [value]))
            else:
                same.values += chosen
                same.choices.append(value)
        elif tag == "input":
            form.inputs.append(Input(name, [value]))

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self.form = None
        elif tag == "select":
            self.select = None
        elif tag == "textarea":
            self.textarea = None

    def handle_data(self, data: str) -> None:
        if self.textarea is not None:
            before = self.textarea.values[0]  # HTML ignores a newline at the very beginning
            self.textarea.values = [before + data if before else data.removeprefix("\n")]


def forms_of(page: str, actor: str, address: str) -> list[Form]:
    """Return the forms of a page at `address` that post."""
    reader = _Reader(actor, address)
    reader.feed(page)
    return reader.forms
