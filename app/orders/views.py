"""Pages of checkout and orders."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from accounts.services import profile_get
from cart.selectors import CartLine, cart_lines, fingerprint, lines_total
from cart.visit import current_items, merge_visitor_cart
from orders.forms import CheckoutForm
from orders.models import Payment, Sale
from orders.order import CheckoutRequest
from orders.refusals import CheckoutRefusal, off_sale, refusal_page, sold_out
from orders.selectors import to_buy
from orders.services import (
    CartChangedError,
    StockConflictError,
    sale_by_form,
    sale_checkout,
)
from payments.services import BreakerOpenError
from products.services import SoldOutError
from retail.observability import current_request_id
from retail.throttling import ThrottledError

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

PAGE_SIZE = 20
NOT_PAID = (Sale.Status.FAILED, Sale.Status.CANCELLED)


def _user_id(request: HttpRequest) -> int:
    assert request.user.pk is not None  # noqa: S101 - for the type checker; login_required saw to it
    return request.user.pk


def _checkout_page(
    request: HttpRequest,
    form: CheckoutForm,
    lines: list[CartLine],
    problem: CheckoutRefusal | None = None,
) -> HttpResponse:
    status = problem.status if problem else 400 if form.errors else 200
    return render(
        request,
        "orders/checkout.html",
        {
            "form": form,
            "lines": lines,
            "total": lines_total(lines),
            "currency": settings.CURRENCY,
            "problem": problem,
            "cart_count": sum(line.quantity for line in lines),
        },
        status=status,
    )


def _place(request: HttpRequest, order: CheckoutRequest) -> Sale | CheckoutRefusal | None:
    """Place the order; a refusal comes back as something to tell the buyer.

    None says that the cart is not what the order was made from.
    """
    try:
        return sale_checkout(order=order)
    except CartChangedError:
        return None
    except ThrottledError as error:
        return CheckoutRefusal(
            429,
            "A little slower, please",
            "You have tried to order this many times in a short while. "
            f"Try again in {error.retry_after} seconds.",
            error.retry_after,
        )
    except BreakerOpenError as error:
        request.fast_fail = True  # type: ignore[attr-defined]  # read by ObservabilityMiddleware
        return CheckoutRefusal(
            503,
            "We cannot take payments at this moment",
            "The payment service does not answer. "
            f"Try again in {error.retry_after} seconds; nothing else is needed.",
            error.retry_after,
        )
    except SoldOutError as error:
        return sold_out(order.lines, error.product_id)
    except StockConflictError:
        return sold_out(order.lines)


@login_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def checkout(request: HttpRequest) -> HttpResponse:
    """Show what is about to be bought; on POST, buy it."""
    if request.method == "POST":
        merge_visitor_cart(request, _user_id(request))
        form = CheckoutForm(request.POST)
        if form.is_valid():
            return _buy(request, form)
        return _checkout_page(request, form, cart_lines(current_items(request)))
    lines = cart_lines(current_items(request))
    if not lines:
        return _nothing_to_buy(request)
    profile = profile_get(user_id=_user_id(request))
    form = CheckoutForm(
        initial={
            "delivery_name": profile.full_name,
            "delivery_address": profile.address,
            "lines_shown": fingerprint(lines),
        }
    )
    return _checkout_page(request, form, lines)


def _nothing_to_buy(request: HttpRequest) -> HttpResponse:
    messages.info(request, "Your cart is empty: put something in it first.")
    return redirect("cart:view")


def _buy(request: HttpRequest, form: CheckoutForm) -> HttpResponse:
    """Place the order that a valid form asks for."""
    user_id, data = _user_id(request), form.cleaned_data
    wanted = to_buy(user_id=user_id, idempotency_key=data["idempotency_key"])
    lines = wanted.lines
    if not lines or data["lines_shown"] != fingerprint(lines):
        return _changed(request, form, lines)
    if not wanted.form_used and (problem := off_sale(lines)):
        return _checkout_page(request, form, lines, problem)
    result = _place(
        request,
        CheckoutRequest(
            user_id=user_id,
            idempotency_key=data["idempotency_key"],
            lines=lines,
            total=lines_total(lines),
            currency=settings.CURRENCY,
            delivery_name=data["delivery_name"],
            delivery_address=data["delivery_address"],
            payment_token=data["payment_token"],
            form_used=wanted.form_used,
            breaker=wanted.breaker,
        ),
    )
    if result is None:
        return _changed(request, form, cart_lines(current_items(request)))
    if isinstance(result, CheckoutRefusal):
        return refusal_page(request, form, result)
    if result.request_id != current_request_id() and result.status in NOT_PAID:
        return _once_more(request, form, lines)
    return redirect("orders:detail", reference=result.reference)


def _changed(request: HttpRequest, form: CheckoutForm, lines: list[CartLine]) -> HttpResponse:
    """Answer a form whose cart is not what it was when the buyer saw it."""
    # The first sending of this very form may have emptied the cart.
    key = form.cleaned_data["idempotency_key"]
    if made := sale_by_form(user_id=_user_id(request), idempotency_key=key):
        return redirect("orders:detail", reference=made.reference)
    if not lines:
        return _nothing_to_buy(request)
    again = CheckoutForm({**form.cleaned_data, "lines_shown": fingerprint(lines)})
    problem = CheckoutRefusal(
        409,
        "Something has changed",
        "A price or your cart has changed since you opened this page. "
        "Look at the new total, and order again if it is right.",
    )
    return _checkout_page(request, again, lines, problem)


def _once_more(request: HttpRequest, form: CheckoutForm, lines: list[CartLine]) -> HttpResponse:
    """Answer a form sent again after its order failed: its key is used up, the cart is not."""
    again = CheckoutForm({**form.cleaned_data, "idempotency_key": uuid.uuid4()})
    problem = CheckoutRefusal(
        409,
        "The first try did not go through",
        "That order's payment failed. Choose how to pay, and order again.",
    )
    return _checkout_page(request, again, lines, problem)


def _own_sale(request: HttpRequest, reference: str) -> Sale:
    """Return the visitor's own order; another's is as good as none (404)."""
    sales = Sale.objects.prefetch_related("items__product__category", "payments")
    return get_object_or_404(sales, reference=reference, user_id=_user_id(request))


def _order_context(sale: Sale) -> dict[str, object]:
    payment: Payment = sale.payments.all()[0]
    return {"sale": sale, "payment": payment, "pending": sale.status == Sale.Status.PENDING}


@login_required
@never_cache
@require_safe
def detail(request: HttpRequest, reference: str) -> HttpResponse:
    """Show an order; while its payment is under way the page follows it."""
    sale = _own_sale(request, reference)
    return render(request, "orders/order_detail.html", _order_context(sale))


@login_required
@never_cache
@require_safe
def status(request: HttpRequest, reference: str) -> HttpResponse:
    """Answer the order page's question how far the payment is."""
    sale = _own_sale(request, reference)
    return render(request, "orders/_status.html", _order_context(sale))


@login_required
@require_safe
def history(request: HttpRequest) -> HttpResponse:
    """Show the visitor's orders."""
    sales = Sale.objects.filter(user_id=_user_id(request)).order_by("-created_at")
    page = Paginator(sales, PAGE_SIZE).get_page(request.GET.get("page"))
    return render(request, "orders/order_list.html", {"page_obj": page})
