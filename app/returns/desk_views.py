"""Staff's pages: the queue of returns and refunds, and one return."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from django.core.paginator import Paginator
from django.db.models import Q
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone

from orders.models import Sale
from retail.web.desk import act, desk_page, history, require
from retail.web.problems import problem
from returns import pages, services
from returns.desk import MAY_REFUND, MAY_RETURN
from returns.errors import RefundProblemError, ReturnProblemError
from returns.forms import DecideForm, InspectForm, WorthForm
from returns.models import Refund, Return
from returns.unsettled import returns_by_status

if TYPE_CHECKING:
    from collections.abc import Callable

    from django import forms
    from django.http import HttpRequest, HttpResponse, QueryDict

PAGE_SIZE = 50
MOST_REFUNDS = 100  # shown of each kind
Status = Return.Status


@desk_page("returns.view_return")
def queue(request: HttpRequest) -> HttpResponse:
    """Show what waits for staff: refunds first, then returns, each oldest first."""
    term = request.GET.get("q", "").strip()
    if (found := _find(term)) is not None:
        return found
    for_staff, on_the_way = pages.refunds_for_staff(), pages.refunds_on_the_way()
    returns = Paginator(pages.open_returns(), PAGE_SIZE)
    context = {
        "now": timezone.now(),
        "term": term,
        "owed": pages.sums(for_staff),
        "for_staff": for_staff[:MOST_REFUNDS],
        "on_the_way": on_the_way[:MOST_REFUNDS],
        "sums": pages.sums(on_the_way),
        "waiting": Counter({row.status: row.count for row in returns_by_status()}),
        "page_obj": returns.get_page(request.GET.get("page")),
    }
    return render(request, "returns/desk/queue.html", context)


def _find(term: str) -> HttpResponse | None:
    """Redirect to what has this reference or key, if anything."""
    if not term or "\0" in term:
        return None
    reference = term.upper()
    if Return.objects.filter(reference=reference).exists():
        return redirect("returns:desk_return", reference)
    if found := Refund.objects.filter(Q(reference=reference) | Q(key=term.lower())).first():
        return redirect("returns:desk_refund", found.reference)
    if Sale.objects.filter(reference=reference).exists():
        return redirect("returns:desk_order", reference)
    return None


def _form_of(of_return: Return, data: QueryDict | None = None) -> Any:
    """Return the form for what is to be done next, if anything."""
    items = list(of_return.items.all())
    if of_return.status == Status.REQUESTED:
        return DecideForm(data, items=items)
    if of_return.status == Status.APPROVED:
        return InspectForm(data, items=items)
    if of_return.status == Status.RECEIVED:
        currency = of_return.sale.currency
        return WorthForm(data, worth=pages.worth(of_return), currency=currency)
    return None


def _return_page(
    request: HttpRequest, reference: str, form: Any = None, error: str = "", status: int = 200
) -> HttpResponse:
    """Show a return as it is now; with the form that was sent, if it still fits."""
    of_return = _return(reference)
    now_needed = _form_of(of_return)
    context = {
        "here": reference,
        "of_return": of_return,
        "sale": of_return.sale,
        "form": form if type(form) is type(now_needed) else now_needed,
        "error": error,
        "refunds": of_return.refunds.select_related("payment__sale").order_by("created_at", "pk"),
        "history": history(of_return),
    }
    return render(request, "returns/desk/return.html", context, status=status)


def _return(reference: str) -> Return:
    rows = Return.objects.select_related("sale__user").prefetch_related("items__sale_item")
    return get_object_or_404(rows, reference=reference)


def _approve(request: HttpRequest, of_return: Return, form: DecideForm) -> None:
    units, answer = form.units(), form.cleaned_data["answer"]
    act(
        request,
        of_return,
        lambda: services.return_approve(of_return=of_return, units=units, answer=answer),
        f"Approved {sum(units.values())} units.",
    )


def _reject(request: HttpRequest, of_return: Return, form: DecideForm) -> None:
    answer = form.cleaned_data["answer"]
    act(
        request,
        of_return,
        lambda: services.return_reject(of_return=of_return, answer=answer),
        "Rejected.",
    )


def _receive(request: HttpRequest, of_return: Return, form: InspectForm) -> None:
    found = form.inspected()
    sellable, damaged, lost = (sum(each) for each in zip(*found.values(), strict=True))
    act(
        request,
        of_return,
        lambda: services.return_receive(of_return=of_return, inspected=found),
        f"Inspected: {sellable} sellable, {damaged} damaged, {lost} lost.",
    )


def _refund(request: HttpRequest, of_return: Return, form: WorthForm) -> None:
    amount, message = form.cleaned_data["amount"], form.cleaned_data["message"]
    user_id = request.user.pk
    act(
        request,
        of_return,
        lambda: services.return_refund(
            of_return=of_return, amount=amount, user_id=user_id, message=message
        ),
        f"Refund of {amount:.2f} {of_return.sale.currency} requested."
        if amount
        else "Closed without a refund.",
    )


RETURN_ACTIONS: dict[str, tuple[str, type[forms.Form], Callable[..., None]]] = {
    "approve": (MAY_RETURN, DecideForm, _approve),
    "reject": (MAY_RETURN, DecideForm, _reject),
    "receive": (MAY_RETURN, InspectForm, _receive),
    "refund": (MAY_REFUND, WorthForm, _refund),
}


@desk_page("returns.view_return", "POST")
def one_return(request: HttpRequest, reference: str) -> HttpResponse:
    """Show a return; on POST, do what the button says."""
    of_return = _return(reference)
    if request.method != "POST":
        return _return_page(request, reference)
    action = request.POST.get("action", "")
    if action not in RETURN_ACTIONS:
        return problem(request, 400)
    permission, kind, do = RETURN_ACTIONS[action]
    require(request, permission)
    form = _form_of(of_return, request.POST)
    if not isinstance(form, kind):
        return _return_page(request, reference, error=services.CHANGED, status=409)
    if not form.is_valid():
        return _return_page(request, reference, form, status=400)
    try:
        do(request, of_return, form)
    except (ReturnProblemError, RefundProblemError) as error:
        return _return_page(request, reference, form, str(error), status=409)
    return redirect("returns:desk_return", reference)
