"""The admin form of a product."""

from __future__ import annotations

import posixpath
from copy import copy
from pathlib import Path
from typing import Any

from django import forms
from django.contrib.staticfiles import finders
from django.core.exceptions import SuspiciousFileOperation

from products.models import Product, StockMovement
from products.services import MAX_STOCK
from retail.money import amount_problem

NAME_LENGTH = 24  # characters of a username kept in the ledger
INITIAL_STOCK = "initial stock"
_REFERENCE_LENGTH = StockMovement._meta.get_field("reference").max_length or 0  # noqa: SLF001 - documented API


class ProductForm(forms.ModelForm):  # type: ignore[type-arg]
    """A product's fields, plus a change of its stock."""

    staff = ""  # username of the editor

    stock_difference = forms.IntegerField(
        required=False,
        min_value=-MAX_STOCK,
        max_value=MAX_STOCK,
        label="Add or remove",
        help_text=(
            "Units to add (12) or remove (-12). Applied to the stock at the time you save, so "
            "sales made in the meantime are kept."
        ),
    )
    stock_reason = forms.CharField(
        required=False,
        label="Reason",
        help_text="Recorded in the ledger with your username: recount, delivery 4711, damaged…",
    )

    # The last change by staff that this form's page knew of. Sales are none of its business.
    stock_change_seen = forms.IntegerField(required=False, widget=forms.HiddenInput)

    class Meta:
        model = Product
        fields = ()  # set by the admin

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk is not None:
            last = self._last_change()
            self.initial["stock_change_seen"] = last.pk if last else 0
        reason = self.fields.get("stock_reason")
        if reason is None:
            return  # view permission only
        reason.widget.attrs["maxlength"] = self._reason_length
        if self.instance.pk is None:
            difference = self.fields["stock_difference"]
            difference.label = "Initial stock"
            difference.help_text = "Units in stock at the start."
            reason.help_text = (
                f"Recorded in the ledger with your username. Defaults to “{INITIAL_STOCK}”."
            )

    @property
    def _prefix(self) -> str:
        return f"admin:{self.staff[:NAME_LENGTH]}: "

    @property
    def _reason_length(self) -> int:
        return _REFERENCE_LENGTH - len(self._prefix)

    def _last_change(self) -> StockMovement | None:
        """Return the last change of the stock by staff."""
        changes = StockMovement.objects.filter(
            product=self.instance, reason=StockMovement.Reason.ADMIN
        )
        return changes.order_by("pk").last()

    def _check_unchanged(self) -> None:
        """Refuse a change if another came first: this one sent twice, or a colleague's."""
        seen, last = self.cleaned_data.get("stock_change_seen"), self._last_change()
        if seen is None or last is None or last.pk == seen:
            return
        self.add_error(
            "stock_difference",
            f"The stock was changed while this page was open: {last.quantity:+d} "
            f"({last.reference}). Save again if your change comes on top.",
        )
        shown_again: Any = copy(self.data)  # a QueryDict's copy can be changed
        shown_again["stock_change_seen"] = str(last.pk)
        self.data = shown_again

    def stock_reference(self) -> str:
        """Return the movement's reference: the editor and the reason."""
        return self._prefix + (self.cleaned_data["stock_reason"] or INITIAL_STOCK)

    def clean_image(self) -> str:
        """Refuse a file that does not exist: pages that show it would fail."""
        image: str = self.cleaned_data["image"]
        try:
            path = finders.find(image)
        except SuspiciousFileOperation:
            path = None
        if not isinstance(path, str) or not Path(path).is_file():
            raise forms.ValidationError("No such static file.")
        if posixpath.normpath(image) != image:
            raise forms.ValidationError("Enter the path without “.” or double slashes.")
        return image

    def clean_stock_reason(self) -> str:
        """Normalise whitespace and check that the reason fits the ledger's column."""
        reason = " ".join(self.cleaned_data["stock_reason"].split())
        if len(reason) > self._reason_length:
            raise forms.ValidationError(f"Enter at most {self._reason_length} characters.")
        return reason

    def clean(self) -> dict[str, Any]:
        """Check prices and the change of stock."""
        super().clean()
        self._check_prices()
        if "stock_difference" in self.cleaned_data and "stock_reason" in self.cleaned_data:
            self._check_stock()
        return self.cleaned_data

    def _check_prices(self) -> None:
        price, flash_price = (self.cleaned_data.get(name) for name in ("price", "flash_price"))
        if price is not None and price < 0:
            self.add_error("price", "The price cannot be negative.")
        elif flash_price is not None and price is not None and not 0 < flash_price <= price:
            self.add_error(
                "flash_price", "The flash price must be above zero and at most the price."
            )
        elif self.cleaned_data.get("is_active"):
            currency = self.instance.currency
            for name, amount in (("price", price), ("flash_price", flash_price)):
                if amount is not None and (problem := amount_problem(amount, currency)):
                    self.add_error(name, problem)

    def _check_stock(self) -> None:
        difference = self.cleaned_data["stock_difference"]
        if self.instance.pk is None:
            stock = 0
        elif difference is None:
            if self.cleaned_data["stock_reason"]:
                self.add_error("stock_difference", "Enter the number of units to add or remove.")
            return
        elif difference == 0:
            self.add_error("stock_difference", "Leave this empty to keep the stock unchanged.")
            return
        else:
            if not self.cleaned_data["stock_reason"]:
                self.add_error("stock_reason", "Enter a reason for the change.")
            # The admin's views are transactions, so the row stays locked until the change is saved
            # and no sale can come between.
            stock = Product.objects.select_for_update().get(pk=self.instance.pk).stock
            self._check_unchanged()
        after = stock + (difference or 0)
        if after < 0:
            self.add_error("stock_difference", f"Only {stock} in stock.")
        elif after > MAX_STOCK:
            self.add_error("stock_difference", f"Stock can't exceed {MAX_STOCK}.")
