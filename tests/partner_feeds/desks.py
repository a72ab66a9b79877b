"""Staff at the desk of partner feeds, and files in every state."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django_q.models import OrmQ

from accounts.roles import create_groups
from partner_feeds import intake
from partner_feeds.models import FilePart, Ingestion, Partner, RejectedRow, StagedRow
from partner_feeds.tasks import continue_feed
from products.models import Product, StockMovement
from tests.partner_feeds.taking_in import FILE, take_in
from tests.support import make_buyer

if TYPE_CHECKING:
    from collections.abc import Iterable

LIST = "/desk/feeds/"
PARTNER = "/desk/feeds/acme/"
UPLOAD = "/desk/feeds/acme/upload/"
EVIL = "<script>alert(1)</script>"
JUMPED = FILE.replace(b"24.90", b"2490.00")
_ROWS: tuple[Any, ...] = (
    *(Partner, Ingestion, FilePart, StagedRow, RejectedRow, Product, StockMovement, LogEntry),
    OrmQ,
)


def staff(*groups: str, name: str = "") -> Client:
    """Return a client logged in as staff of these groups."""
    create_groups()
    user = make_buyer(name or "-".join(groups) or "nobody")
    User.objects.filter(pk=user.pk).update(is_staff=True)
    user.groups.set(Group.objects.filter(name__in=groups))
    return logged_in(user)


def logged_in(user: User, **options: Any) -> Client:
    client = Client(**options)
    client.force_login(user)
    return client


def state() -> list[object]:
    """Return all rows that these pages may change."""
    return [list(model.objects.order_by("pk").values()) for model in _ROWS]


def path(ingestion: Ingestion, end: str = "") -> str:
    return f"/desk/feeds/files/{ingestion.reference}/{end}"


def csv(content: bytes = FILE, name: str = "products.csv") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, content)


def text_of(answer: object) -> str:
    """Return a page's main part as text with single spaces."""
    content: bytes = answer.content  # type: ignore[attr-defined]
    main = content.decode().partition("<main")[2]
    return " ".join(main.replace("&#x27;", "'").replace("&amp;", "&").split())


def work() -> None:
    """Run all jobs that were enqueued."""
    while job := OrmQ.objects.order_by("pk").first():
        task = job.task
        job.delete()
        assert task["func"] == continue_feed.path
        continue_feed(*task["args"])


def held(partner: Partner) -> Ingestion:
    """Take a file in, and then one that is held."""
    take_in(partner, FILE)
    ingestion = take_in(partner, JUMPED)
    assert ingestion.status == "HELD"
    return ingestion


def reading(partner: Partner, content: bytes = FILE) -> Ingestion:
    """Receive a file that no worker reads."""
    return intake.receive(partner, io.BytesIO(content), origin=Ingestion.Origin.UPLOAD)


def in_every_state(partner: Partner) -> Iterable[Ingestion]:
    """Yield a file in one state after the other, with HTML in all that its partner says."""
    hostile = FILE.replace(b"Kettle", b"&lt;script&gt;alert(1)&lt;/script&gt;")
    yield reading(partner, hostile)
    continue_feed(Ingestion.objects.get(status="READING").pk)
    yield Ingestion.objects.get(status="DONE")
    yield take_in(partner, JUMPED + f"{EVIL},{EVIL},{EVIL},1\n".encode())
    yield take_in(partner, f"sku,name,price\n1,2,{EVIL}\n".encode())
    yield Ingestion.objects.get(status="DISCARDED")
