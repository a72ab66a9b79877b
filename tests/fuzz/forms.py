"""Forms found on pages, filled in with plausible and hostile values."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import TYPE_CHECKING
from urllib.parse import quote_plus, urljoin, urlsplit

from tests.fuzz import hostile
from tests.fuzz.fuzzer import FuzzRequest
from tests.fuzz.world import LOCKED_OUT, PASSWORD, TOKEN

if TYPE_CHECKING:
    from random import Random

# Plausible values for empty fields; other fields get a word.
PLAUSIBLE = {
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
    """A field with its current values and other choices."""

    name: str
    values: list[str]
    choices: list[str] = field(default_factory=list)


@dataclass
class Form:
    """A form with method POST, as one user sees it."""

    actor: str
    action: str
    inputs: list[Input] = field(default_factory=list)
    buttons: list[tuple[str, str]] = field(default_factory=list)

    @property
    def key(self) -> tuple[str, str, tuple[str, ...]]:
        """The form's identity: user, action and field names."""
        return self.actor, self.action, tuple(each.name for each in self.inputs)

    def filled(self, rng: Random) -> list[tuple[str, bytes]]:
        """Return plausible form data."""
        pairs: list[tuple[str, bytes]] = []
        for each in self.inputs:
            values = each.values
            if each.choices and rng.random() < 0.3:
                values = [rng.choice(each.choices)]
            elif each.name in PLAUSIBLE and (not each.values or not each.values[0]):
                values = [rng.choice(PLAUSIBLE[each.name])]
            elif each.values == [""] and rng.random() < 0.7:
                values = ["word"]
            pairs += [(each.name, value.encode()) for value in values]
        if self.buttons:
            name, value = rng.choice(self.buttons)
            pairs.append((name, value.encode()))
        return pairs

    def request(
        self, rng: Random, mutations: tuple[int, ...] = (0, 0, 1, 1, 1, 2, 3, 8)
    ) -> FuzzRequest:
        """Return a request that submits the form with zero or more mutations."""
        pairs = [pair for pair in self.filled(rng) if pair[0] != "csrfmiddlewaretoken"]
        for _ in range(rng.choice(mutations)):
            self._mutate(pairs, rng)
        pairs.append(("csrfmiddlewaretoken", TOKEN.encode()))
        if rng.random() < 0.2:
            body, content_type = hostile.multipart(pairs), hostile.CONTENT_TYPES[-3]
        else:
            parts = [f"{quote_plus(name)}=".encode() + _quoted(value) for name, value in pairs]
            body, content_type = b"&".join(parts), hostile.FORM
        target = urlsplit(self.action)
        query = target.query.encode()
        if rng.random() < 0.1:
            query = hostile.pairs(rng)
        return FuzzRequest(
            self.actor, "POST", target.path.encode(), query, {}, body, content_type, token=True
        )

    @staticmethod
    def _mutate(pairs: list[tuple[str, bytes]], rng: Random) -> None:
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


def _quoted(value: bytes) -> bytes:
    return quote_plus(value).encode()


class _Reader(HTMLParser):
    """Collect a page's forms with method POST."""

    def __init__(self, actor: str, url: str) -> None:
        super().__init__()
        self.actor, self.url = actor, url
        self.forms: list[Form] = []
        self.form: Form | None = None
        self.select: Input | None = None
        self.textarea: Input | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        if tag == "form" and attributes.get("method", "").lower() == "post":
            self.form = Form(self.actor, urljoin(self.url, attributes.get("action", "")))
            self.forms.append(self.form)
        elif tag == "option" and self.select is not None:
            self.select.choices.append(attributes.get("value", ""))
            if "selected" in attributes:
                self.select.values.append(attributes.get("value", ""))
        elif self.form is not None and attributes.get("name"):
            self._field(self.form, tag, attributes)

    def _field(self, form: Form, tag: str, attributes: dict[str, str]) -> None:
        name, kind = attributes["name"], attributes.get("type", "text")
        value = attributes.get("value", "on" if kind in {"checkbox", "radio"} else "")
        if tag == "button" or kind == "submit":
            form.buttons.append((name, value))
        elif tag == "select":
            self.select = Input(name, [])
            form.inputs.append(self.select)
        elif tag == "textarea":
            self.textarea = Input(name, [""])
            form.inputs.append(self.textarea)
        elif tag == "input" and kind in {"checkbox", "radio"}:
            checked = [value] if "checked" in attributes else []
            group = next((each for each in form.inputs if each.name == name), None)
            if group is None:
                form.inputs.append(Input(name, checked, [value]))
            else:
                group.values += checked
                group.choices.append(value)
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
            before = self.textarea.values[0]  # HTML ignores a leading newline
            self.textarea.values = [before + data if before else data.removeprefix("\n")]


def forms_of(page: str, actor: str, url: str) -> list[Form]:
    """Return the forms with method POST on the page at `url`."""
    reader = _Reader(actor, url)
    reader.feed(page)
    return reader.forms
