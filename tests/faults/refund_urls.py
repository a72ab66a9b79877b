"""The shop's URLs, and one that cancels an order, as its buyer or staff do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.http import JsonResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

from config.urls import handler400, handler403, handler404
from config.urls import urlpatterns as shop_urls
from orders.models import Sale
from returns import services

if TYPE_CHECKING:
    from django.http import HttpRequest

__all__ = ["handler400", "handler403", "handler404", "urlpatterns"]


@csrf_exempt
def cancel(_request: HttpRequest, reference: str) -> JsonResponse:
    """Cancel an order; respond with its refund."""
    refund = services.order_cancel(sale=Sale.objects.get(reference=reference), user_id=None)
    return JsonResponse({"refund": refund and refund.reference})


urlpatterns = [*shop_urls, path("cancel/<str:reference>/", cancel)]
