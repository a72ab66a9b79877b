"""Template context of every page."""

from functools import partial

from django.conf import settings
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from retail.web.kept_forms import SHOWN_TO, shown_to


def shop(request: HttpRequest) -> dict[str, object]:
    """Return the shop's name and kind of cards, the page's reference, and whose its forms are."""
    return {
        "shop_name": settings.SHOP_NAME,
        "stand_ins": settings.STAND_INS,
        "reference": getattr(request, "request_id", ""),
        SHOWN_TO: SimpleLazyObject(partial(shown_to, request)),
    }
