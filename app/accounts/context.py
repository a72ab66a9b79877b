"""Template context processor for notices."""

from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from accounts.models import Notice
from accounts.services import notices_take


def notices(request: HttpRequest) -> dict[str, object]:
    """Return what the customer has to learn, taken only if a template shows it."""
    return {"notices": SimpleLazyObject(lambda: _take(request))}


def _take(request: HttpRequest) -> list[Notice]:
    # Nobody sees the body of HEAD, and maybe never that of a page fetched in advance.
    if request.method == "HEAD" or "prefetch" in request.headers.get("Sec-Purpose", ""):
        return []
    return notices_take(user=request.user) if hasattr(request, "user") else []
