"""Cart pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib import messages
from django.db import IntegrityError
from django.http import Http404
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from cart import selectors, services
from cart.forms import AddForm, QuantityForm
from cart.models import MAX_QUANTITY
from cart.visit import current_cart, current_items
from products.models import Product
from retail.web.problems import problem, problem_message

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse


def _bad_request(request: HttpRequest, form: QuantityForm) -> HttpResponse:
    field, errors = next(iter(form.errors.get_json_data().items()))
    return problem(
        request,
        400,
        title="We couldn't update your cart",
        message=f"{field.replace('_', ' ').capitalize()}: {errors[0]['message']}",
    )


@require_safe
def view(request: HttpRequest) -> HttpResponse:
    """Show the cart."""
    lines = selectors.cart_lines(current_items(request))
    return render(
        request,
        "cart/cart.html",
        {
            "lines": lines,
            "total": selectors.lines_total(lines),
            "currency": selectors.lines_currency(lines),
            "problem": selectors.order_problem(lines),
            "blocked": any(line.problem for line in lines),
        },
    )


@require_POST
def add(request: HttpRequest) -> HttpResponse:
    """Add a product to the cart."""
    form = AddForm(request.POST)
    if not form.is_valid():
        return _bad_request(request, form)
    product = Product.objects.filter(pk=form.cleaned_data["product_id"], is_active=True).first()
    if product is None:
        raise Http404("No such product on sale.")
    if product.sold_out:
        problem_message(request, f"{product.name} is sold out.")
        return redirect("products:detail", slug=product.slug)
    if form.cleaned_data["quantity"] < 1:
        problem_message(request, "Choose at least one.")
        return redirect("products:detail", slug=product.slug)
    try:
        quantity = services.cart_add(
            cart=current_cart(request),
            product_id=product.pk,
            quantity=form.cleaned_data["quantity"],
            form_key=form.cleaned_data["form_key"],
        )
    except IntegrityError as error:  # the product has just been deleted
        raise Http404("No such product on sale.") from error
    most = ", the most you can order" if quantity == MAX_QUANTITY else ""
    messages.success(request, f"{product.name} is in your cart ({quantity}{most}).")
    return redirect("cart:view")


@require_POST
def update(request: HttpRequest) -> HttpResponse:
    """Change the quantity of a product in the cart."""
    form = QuantityForm(request.POST)
    if not form.is_valid():
        return _bad_request(request, form)
    services.cart_set(cart=current_cart(request), **form.cleaned_data)
    return redirect("cart:view")
