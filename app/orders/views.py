"""Checkout and order pages."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from django.contrib import messages
from django.core.paginator import Paginator
from django.shortcuts import get_object_or_404, redirect, render
from django.template.defaultfilters import pluralize
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from accounts.services import notice_drop, profile_get
from cart.selectors import (
    CartLine,
    cart_lines,
    fingerprint,
    holds,
    lines_currency,
    lines_total,
    order_problem,
)
from cart.services import cart_take_left
from cart.visit import current_items, merge_visitor_cart
from orders.announcements import order_path
from orders.forms import CheckoutForm
from orders.models import Payment, Sale
from orders.order import CheckoutRequest
from orders.refusals import (
    TAKE_LEFT,
    CheckoutRefusal,
    no_longer_on_sale,
    refusal_page,
    sold_out,
)
from orders.selectors import to_buy
from orders.services import (
    CartChangedError,
    OrderProblemError,
    StockConflictError,
    sale_by_form,
    sale_checkout,
)
from payments.services import BreakerOpenError
from products.services import SoldOutError
from retail.observability import current_request_id
from retail.throttling import ThrottledError
from retail.web.kept_forms import forget, keep, kept, login_required

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

PAGE_SIZE = 20
TYPED = ("delivery_name", "delivery_address", "email")  # kept while the customer logs in again
NOT_PAID = (Sale.Status.FAILED, Sale.Status.CANCELLED)


def _user_id(request: HttpRequest) -> int:
    assert request.user.pk is not None  # noqa: S101 - for the type checker; login_required ensures it
    return request.user.pk


def _checkout_page(
    request: HttpRequest,
    form: CheckoutForm,
    lines: list[CartLine],
    refusal: CheckoutRefusal | None = None,
) -> HttpResponse:
    status = refusal.status if refusal else 400 if form.errors else 200
    return render(
        request,
        "orders/checkout.html",
        {
            "form": form,
            "lines": lines,
            "total": lines_total(lines),
            "problems": [line for line in lines if line.problem],
            "any_left": any(line.left for line in lines),
            "currency": lines_currency(lines),
            "refusal": refusal,
            "cart_count": sum(line.quantity for line in lines),
        },
        status=status,
    )


def _seconds(count: int) -> str:
    return f"{count} second{pluralize(count)}"


def _place(request: HttpRequest, order: CheckoutRequest) -> Sale | CheckoutRefusal | None:
    """Place the order; return it, the refusal to show, or None if the cart has changed."""
    try:
        return sale_checkout(order=order)
    except CartChangedError:
        return None
    except ThrottledError as error:
        return CheckoutRefusal(
            429,
            "Too many attempts",
            "You've tried to order this too many times in a short period. "
            f"Try again in {_seconds(error.retry_after)}.",
            error.retry_after,
        )
    except BreakerOpenError as error:
        request.fast_fail = True  # type: ignore[attr-defined]  # read by ObservabilityMiddleware
        return CheckoutRefusal(
            503,
            "We can't take payments right now",
            f"The payment service is not responding. Try again in {_seconds(error.retry_after)}.",
            error.retry_after,
        )
    except OrderProblemError as error:
        return CheckoutRefusal(409, "This order can't be placed", str(error), button="")
    except (SoldOutError, StockConflictError) as error:
        return sold_out(order.lines, getattr(error, "product_id", None))


@login_required(*TYPED)
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def checkout(request: HttpRequest) -> HttpResponse:
    """Show the checkout page; on POST, place the order."""
    if request.method == "POST":
        merge_visitor_cart(request, _user_id(request))
        if TAKE_LEFT in request.POST:
            return _take_left(request)
        form = CheckoutForm(request.POST)
        if form.is_valid():
            forget(request)
            return _buy(request, form)
        return _checkout_page(request, form, cart_lines(current_items(request)))
    lines = cart_lines(current_items(request))
    if not lines:
        return _redirect_empty_cart(request)
    if order_problem(lines):
        return redirect("cart:view")  # which shows it
    profile = profile_get(user_id=_user_id(request))
    form = CheckoutForm(
        initial={
            "delivery_name": profile.full_name,
            "delivery_address": profile.address,
            "email": getattr(request.user, "email", ""),
            "lines_shown": fingerprint(lines),
            **kept(request),
        }
    )
    return _checkout_page(request, form, lines)


def _take_left(request: HttpRequest) -> HttpResponse:
    """Reduce the cart to what can be bought, and show the checkout page with what was typed."""
    cart_take_left(user_id=_user_id(request))
    keep(request, TYPED)
    if current_items(request).exists():
        messages.info(request, "Your cart now has what is left. Check the total before you order.")
    return redirect("orders:checkout")


def _redirect_empty_cart(request: HttpRequest) -> HttpResponse:
    messages.info(request, "Your cart is empty. Add a product to check out.")
    return redirect("cart:view")


def _buy(request: HttpRequest, form: CheckoutForm) -> HttpResponse:
    """Place the order of a valid form."""
    user_id, data = _user_id(request), form.cleaned_data
    cart = to_buy(user_id=user_id, idempotency_key=data["idempotency_key"])
    lines = cart.lines
    if not lines or data["lines_shown"] != fingerprint(lines):
        return _changed(request, form, lines)
    if not cart.form_used and (refusal := no_longer_on_sale(lines)):
        return _checkout_page(request, form, lines, refusal)
    result = _place(
        request,
        CheckoutRequest(
            user_id=user_id,
            idempotency_key=data["idempotency_key"],
            lines=lines,
            total=lines_total(lines),
            delivery_name=data["delivery_name"],
            delivery_address=data["delivery_address"],
            payment_token=data["payment_token"],
            email=data["email"],
            form_used=cart.form_used,
            breaker=cart.breaker,
        ),
    )
    if result is None:
        return _changed(request, form, cart_lines(current_items(request)))
    if isinstance(result, CheckoutRefusal):
        return refusal_page(request, form, result)
    if result.request_id != current_request_id() and result.status in NOT_PAID:
        return _try_again(request, form, lines)
    return redirect("orders:detail", reference=result.reference)


def _changed(request: HttpRequest, form: CheckoutForm, lines: list[CartLine]) -> HttpResponse:
    """Respond to a form whose cart or prices have changed since it was shown."""
    # An earlier submission of the same form may have emptied the cart.
    key = form.cleaned_data["idempotency_key"]
    if sale := sale_by_form(user_id=_user_id(request), idempotency_key=key):
        return redirect("orders:detail", reference=sale.reference)
    if not lines:
        return _redirect_empty_cart(request)
    again = CheckoutForm({**form.cleaned_data, "lines_shown": fingerprint(lines)})
    refusal = CheckoutRefusal(
        409,
        "Your order has changed",
        "Your cart or a price has changed since you opened this page. "
        "Check the new total, then order again.",
    )
    return _checkout_page(request, again, lines, refusal)


def _try_again(request: HttpRequest, form: CheckoutForm, lines: list[CartLine]) -> HttpResponse:
    """Respond to a form resubmitted after its order failed: show it with a new key."""
    again = CheckoutForm({**form.cleaned_data, "idempotency_key": uuid.uuid4()})
    refusal = CheckoutRefusal(
        409,
        "Your payment failed",
        "The payment for this order failed. Choose a payment method, then order again.",
    )
    return _checkout_page(request, again, lines, refusal)


def _own_sale(request: HttpRequest, reference: str) -> Sale:
    """Return the customer's own order. Raises Http404 for unknown ones and other customers'."""
    sales = Sale.objects.prefetch_related("items__product__category", "payments")
    return get_object_or_404(sales, reference=reference, user_id=_user_id(request))


def _order_context(request: HttpRequest, sale: Sale) -> dict[str, object]:
    payment: Payment = sale.payments.all()[0]
    pending = sale.status == Sale.Status.PENDING
    if not pending:  # this page shows what a notice would say
        notice_drop(user=request.user, link=order_path(sale.reference))
    context = {"sale": sale, "payment": payment, "pending": pending}
    if sale.status not in NOT_PAID:
        return context
    quantities = {item.product_id: item.quantity for item in sale.items.all()}
    return {**context, "in_cart": holds(user_id=sale.user_id, quantities=quantities)}


@login_required()
@never_cache
@require_safe
def detail(request: HttpRequest, reference: str) -> HttpResponse:
    """Show an order. While its payment is pending, the page updates itself."""
    sale = _own_sale(request, reference)
    return render(request, "orders/order_detail.html", _order_context(request, sale))


@login_required()
@never_cache
@require_safe
def status(request: HttpRequest, reference: str) -> HttpResponse:
    """Return the status fragment that the order page polls."""
    sale = _own_sale(request, reference)
    return render(request, "orders/_status.html", _order_context(request, sale))


@login_required()
@require_safe
def history(request: HttpRequest) -> HttpResponse:
    """List the customer's orders."""
    sales = Sale.objects.filter(user_id=_user_id(request)).order_by("-created_at")
    sales = sales.prefetch_related("payments")
    page = Paginator(sales, PAGE_SIZE).get_page(request.GET.get("page"))
    return render(request, "orders/order_list.html", {"page_obj": page})
