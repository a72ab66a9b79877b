"""Template context of every page."""

from django.conf import settings
from django.http import HttpRequest


def shop(request: HttpRequest) -> dict[str, object]:
    """Return the shop's name for templates."""
    return {"shop_name": settings.SHOP_NAME}
