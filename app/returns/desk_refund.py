"""Staff's page of a refund: what became of it, and what to do if it failed."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from django.shortcuts import get_object_or_404, redirect, render

from retail.web.desk import act, desk_page, history, require
from retail.web.problems import problem
from returns import pages, refunds
from returns.desk import MAY_REFUND
from returns.errors import RefundProblemError
from returns.forms import PaidOtherwiseForm
from returns.models import Refund

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.http import HttpRequest, HttpResponse


def _page(
    request: HttpRequest, reference: str, form: Any = None, error: str = "", status: int = 200
) -> HttpResponse:
    rows = Refund.objects.select_related("payment__sale__user", "of_return", "requested_by")
    refund = get_object_or_404(rows, reference=reference)
    context = {
        "here": reference,
        "refund": refund,
        "payment": refund.payment,
        "sale": refund.payment.sale,
        "chain": pages.chain(refund),
        "form": form or PaidOtherwiseForm(),
        "error": error,
        "history": history(refund),
    }
    return render(request, "returns/desk/refund.html", context, status=status)


def _retry(request: HttpRequest, refund: Refund) -> Refund:
    user_id = request.user.pk
    return act(
        request,
        refund,
        lambda: refunds.refund_retry(refund=refund, user_id=user_id),
        "Requested again.",
    )


def _found(request: HttpRequest, refund: Refund, *, paid: bool) -> Refund:
    act(
        request,
        refund,
        lambda: refunds.refund_resolve(refund=refund, paid=paid),
        f"Found at the gateway: {'paid out' if paid else 'not paid out'}.",
    )
    return refund


def _paid_otherwise(request: HttpRequest, refund: Refund, message: str) -> Refund:
    user_id = request.user.pk
    return act(
        request,
        refund,
        lambda: refunds.refund_paid_otherwise(refund=refund, user_id=user_id, message=message),
        "Recorded as paid back another way.",
    )


ACTIONS: dict[str, Callable[..., Refund]] = {
    "retry": _retry,
    "paid": partial(_found, paid=True),
    "unpaid": partial(_found, paid=False),
    "otherwise": _paid_otherwise,
}


@desk_page("returns.view_refund", "POST")
def refund(request: HttpRequest, reference: str) -> HttpResponse:
    """Show a refund; on POST, do what the button says."""
    if request.method != "POST":
        return _page(request, reference)
    require(request, MAY_REFUND)
    row = get_object_or_404(Refund, reference=reference)
    if (action := request.POST.get("action", "")) not in ACTIONS:
        return problem(request, 400)
    form, words = None, []
    if action == "otherwise":
        form = PaidOtherwiseForm(request.POST)
        if not form.is_valid():
            return _page(request, reference, form, status=400)
        words = [form.cleaned_data["message"]]
    try:
        after = ACTIONS[action](request, row, *words)
    except RefundProblemError as error:
        return _page(request, reference, form, str(error), status=409)
    return redirect("returns:desk_refund", after.reference)
