"""Staff's page of an order: refund an amount, cancel it, or request a return for its customer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from django.http import Http404
from django.shortcuts import get_object_or_404, redirect, render

from orders.models import Sale
from retail.web.desk import act, desk_page, history, require
from retail.web.problems import problem
from returns import pages, services
from returns.desk import MAY_REFUND, MAY_RETURN
from returns.errors import RefundProblemError, ReturnProblemError
from returns.forms import GoodwillForm, RequestForm
from returns.refunds import refund_request

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.http import HttpRequest, HttpResponse


def _order(reference: str) -> pages.OrderReturns:
    """Return a paid order. Raises Http404 for others: nothing of them can be given back."""
    sales = Sale.objects.select_related("user").prefetch_related("items", "payments")
    order = pages.order_returns(get_object_or_404(sales, reference=reference))
    if order is None:
        raise Http404(reference)
    return order


class Sent(NamedTuple):
    """What was sent and could not be done: the button's action, the form, and why."""

    action: str
    form: Any
    error: str = ""


def _page(
    request: HttpRequest, reference: str, sent: Sent | None = None, status: int = 200
) -> HttpResponse:
    """Show an order as it is now, with a form that was sent."""
    order = _order(reference)
    payment = order.payment
    seen = {"seen": payment.refund_reserved}
    forms: dict[str, Any] = {
        "refund": GoodwillForm(currency=payment.currency, prefix="refund", initial=seen),
        "return": RequestForm(lines=order.lines, prefix="return"),
    }
    if sent and sent.form is not None:
        forms[sent.action] = sent.form
    context = {
        "here": reference,
        "order": order,
        "sale": order.sale,
        "payment": payment,
        "goodwill": forms["refund"],
        "request_form": forms["return"],
        "sent": sent,
        "error": sent and sent.error,
        "history": history(order.sale),
    }
    return render(request, "returns/desk/order.html", context, status=status)


def _goodwill(request: HttpRequest, order: pages.OrderReturns, form: GoodwillForm) -> HttpResponse:
    data, payment = form.cleaned_data, order.payment
    if earlier := payment.refunds.filter(form_key=data["form_key"]).first():
        return redirect("returns:desk_refund", earlier.reference)
    user_id = request.user.pk
    refund = act(
        request,
        order.sale,
        lambda: refund_request(
            payment=payment,
            amount=data["amount"],
            reason=data["reason"],
            user_id=user_id,
            message=data["message"].strip(),
            form_key=data["form_key"],
            seen=data["seen"],
        ),
        f"Refund of {data['amount']:.2f} {payment.currency} requested.",
    )
    return redirect("returns:desk_refund", refund.reference)


def _return(request: HttpRequest, order: pages.OrderReturns, form: RequestForm) -> HttpResponse:
    data = form.cleaned_data
    of_return = act(
        request,
        order.sale,
        lambda: services.return_request(
            sale=order.sale,
            units=form.units(),
            reason=data["reason"],
            note=data["note"],
            form_key=data["form_key"],
        ),
        "Return requested for the customer.",
    )
    return redirect("returns:desk_return", of_return.reference)


def _cancel(request: HttpRequest, order: pages.OrderReturns, form: None) -> HttpResponse:
    del form
    user_id = request.user.pk
    act(
        request,
        order.sale,
        lambda: services.order_cancel(sale=order.sale, user_id=user_id),
        "Order cancelled.",
    )
    return redirect("returns:desk_order", order.sale.reference)


def _form_of(action: str, order: pages.OrderReturns, request: HttpRequest) -> Any:
    if action == "refund":
        return GoodwillForm(request.POST, currency=order.payment.currency, prefix="refund")
    if action == "return":
        return RequestForm(request.POST, lines=order.lines, prefix="return")
    return None


ACTIONS: dict[str, tuple[str, Callable[..., HttpResponse]]] = {
    "refund": (MAY_REFUND, _goodwill),
    "cancel": (MAY_REFUND, _cancel),
    "return": (MAY_RETURN, _return),
}


@desk_page("returns.view_return", "POST")
def order(request: HttpRequest, reference: str) -> HttpResponse:
    """Show an order's returns and refunds; on POST, do what the button says."""
    if request.method != "POST":
        return _page(request, reference)
    if (action := request.POST.get("action", "")) not in ACTIONS:
        return problem(request, 400)
    permission, do = ACTIONS[action]
    require(request, permission)
    found = _order(reference)
    form = _form_of(action, found, request)
    valid = form is None or form.is_valid()
    if action == "return":
        key = form.cleaned_data.get("form_key")
        if earlier := pages.return_of_form(found.sale, key):
            return redirect("returns:desk_return", earlier.reference)
    if not valid:
        return _page(request, reference, Sent(action, form), status=400)
    try:
        return do(request, found, form)
    except (ReturnProblemError, RefundProblemError) as error:
        return _page(request, reference, Sent(action, form, str(error)), status=409)
