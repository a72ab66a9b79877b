"""Customers' pages: return items of an order, or cancel it before its dispatch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib import messages
from django.http import Http404
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from orders.models import Sale
from retail.web.kept_forms import forget, kept, login_required
from returns import pages, services
from returns.errors import RefundProblemError, ReturnProblemError
from returns.forms import RequestForm

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

NOT_REFUNDABLE = (
    "Your bank is examining the payment for this order, so we can't refund it now. Your order has "
    "not been changed. Please try again when your bank has finished."
)


def _own_order(request: HttpRequest, reference: str) -> pages.OrderReturns:
    """Return the customer's own paid order. Raises Http404 for others."""
    sales = Sale.objects.prefetch_related("items__product__category", "payments")
    sale = get_object_or_404(sales, reference=reference, user_id=request.user.pk)
    order = pages.order_returns(sale)
    if order is None:
        raise Http404(reference)
    return order


@login_required("reason", "note", "units_*")
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def request_return(request: HttpRequest, reference: str) -> HttpResponse:
    """Show the form to return items of an order; on POST, request the return."""
    order = _own_order(request, reference)
    if request.method != "POST":
        return _return_page(request, order, RequestForm(lines=order.lines, initial=kept(request)))
    form = RequestForm(request.POST, lines=order.lines)
    valid = form.is_valid()
    if pages.return_of_form(order.sale, form.cleaned_data.get("form_key")):
        return redirect("orders:detail", reference=reference)
    if not valid:
        return _return_page(request, order, form, status=400)
    try:
        of_return = services.return_request(
            sale=order.sale,
            units=form.units(),
            reason=form.cleaned_data["reason"],
            note=form.cleaned_data["note"],
            form_key=form.cleaned_data["form_key"],
        )
    except ReturnProblemError as error:
        form.add_error(None, str(error))
        return _return_page(request, _own_order(request, reference), form, status=409)
    forget(request)
    messages.success(
        request, f"We've received your return request {of_return.reference}. We'll e-mail you."
    )
    return redirect("orders:detail", reference=reference)


def _return_page(
    request: HttpRequest, order: pages.OrderReturns, form: RequestForm, status: int = 200
) -> HttpResponse:
    context = {"order": order, "sale": order.sale, "form": form}
    return render(request, "returns/request.html", context, status=status)


@login_required()
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def cancel(request: HttpRequest, reference: str) -> HttpResponse:
    """Ask whether to cancel an order; on POST, cancel it."""
    order = _own_order(request, reference)
    if request.method != "POST":
        return _cancel_page(request, order)
    try:
        services.order_cancel(sale=order.sale, user_id=request.user.pk)
    except ReturnProblemError as error:
        return _cancel_page(request, _own_order(request, reference), str(error))
    except RefundProblemError:
        return _cancel_page(request, _own_order(request, reference), NOT_REFUNDABLE)
    messages.success(request, f"Order {reference} is cancelled. Your refund is on its way.")
    return redirect("orders:detail", reference=reference)


def _cancel_page(
    request: HttpRequest, order: pages.OrderReturns, problem: str = ""
) -> HttpResponse:
    context = {"order": order, "sale": order.sale, "problem": problem}
    return render(request, "returns/cancel.html", context, status=409 if problem else 200)
