"""The admin's form of a product."""

from __future__ import annotations

import posixpath
from pathlib import Path
from typing import Any

from django import forms
from django.contrib.staticfiles import finders
from django.core.exceptions import SuspiciousFileOperation

from products.models import Product, StockMovement
from products.services import MAX_STOCK

NAME_LENGTH = 24  # what of a long username goes into the ledger
FIRST_STOCK = "first stock"
_REFERENCE_LENGTH = StockMovement._meta.get_field("reference").max_length or 0  # noqa: SLF001 - Django's public way to a field


class ProductForm(forms.ModelForm):  # type: ignore[type-arg]
    """A product's facts, and beside them a change of its stock."""

    staff = ""  # who changes

    stock_difference = forms.IntegerField(
        required=False,
        min_value=-MAX_STOCK,
        max_value=MAX_STOCK,
        label="Add or remove",
        help_text=(
            "How many come in (12) or go out (-12). Counts from the stock at the moment of saving, "
            "so what is sold meanwhile stays sold."
        ),
    )
    stock_reason = forms.CharField(
        required=False,
        label="Reason",
        help_text="Goes into the ledger beside your name: recount, delivery 4711, broken …",
    )

    class Meta:
        model = Product
        fields = ()  # the admin says which

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        reason = self.fields.get("stock_reason")
        if reason is None:
            return  # for those who may only look
        reason.widget.attrs["maxlength"] = self._reason_length
        if self.instance.pk is None:
            difference = self.fields["stock_difference"]
            difference.label = "First stock"
            difference.help_text = "How many there are to begin with."
            reason.help_text = f"Goes into the ledger beside your name; “{FIRST_STOCK}” if empty."

    @property
    def _prefix(self) -> str:
        return f"admin:{self.staff[:NAME_LENGTH]}: "

    @property
    def _reason_length(self) -> int:
        return _REFERENCE_LENGTH - len(self._prefix)

    def stock_reference(self) -> str:
        """Return what the movement's reference is to be."""
        return self._prefix + (self.cleaned_data["stock_reason"] or FIRST_STOCK)

    def clean_image(self) -> str:
        """Refuse a file that is not there: a page that shows it would fail."""
        image: str = self.cleaned_data["image"]
        try:
            found = finders.find(image)
        except SuspiciousFileOperation:
            found = None
        if not isinstance(found, str) or not Path(found).is_file():
            raise forms.ValidationError("There is no such static file.")
        if posixpath.normpath(image) != image:
            raise forms.ValidationError("Write the path plainly, without “.” or double slashes.")
        return image

    def clean_stock_reason(self) -> str:
        """Make the reason one line that fits into the ledger."""
        reason = " ".join(self.cleaned_data["stock_reason"].split())
        if len(reason) > self._reason_length:
            raise forms.ValidationError(f"At most {self._reason_length} characters.")
        return reason

    def clean(self) -> dict[str, Any]:
        """Check what takes more than one field."""
        super().clean()
        self._check_prices()
        if "stock_difference" in self.cleaned_data and "stock_reason" in self.cleaned_data:
            self._check_stock()
        return self.cleaned_data

    def _check_prices(self) -> None:
        price, flash_price = (self.cleaned_data.get(name) for name in ("price", "flash_price"))
        if price is not None and price < 0:
            self.add_error("price", "The price cannot be negative.")
        elif flash_price is not None and price is not None and not 0 <= flash_price <= price:
            self.add_error("flash_price", "The flash price must lie between zero and the price.")

    def _check_stock(self) -> None:
        difference = self.cleaned_data["stock_difference"]
        if self.instance.pk is None:
            stock = 0
        elif difference is None:
            if self.cleaned_data["stock_reason"]:
                self.add_error("stock_difference", "Say how many come in or go out.")
            return
        elif difference == 0:
            self.add_error("stock_difference", "Zero changes nothing: leave it empty instead.")
            return
        else:
            if not self.cleaned_data["stock_reason"]:
                self.add_error("stock_reason", "Say why the stock changes.")
            # Locked until the change is made, or the page shown again: the admin's views are
            # transactions. So no sale comes between this check and the change.
            stock = Product.objects.select_for_update().get(pk=self.instance.pk).stock
        after = stock + (difference or 0)
        if after < 0:
            self.add_error("stock_difference", f"There are only {stock} now.")
        elif after > MAX_STOCK:
            self.add_error("stock_difference", f"The stock can be {MAX_STOCK} at most.")
