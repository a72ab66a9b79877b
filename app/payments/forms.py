"""The admin's form of the circuit breaker."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.admin.widgets import AdminRadioSelect, AdminTextInputWidget

from payments.models import FORCE_MINUTES, REASON_LENGTH, CircuitBreaker

AUTOMATIC = "automatic"
LEAST, MOST = FORCE_MINUTES
# What each does to buyers.
OPEN = (
    "Open: nobody can pay. The gateway is not called; carts are kept, and buyers are asked to try "
    "again in a moment."
)
CLOSED = (
    "Closed: every order goes to the gateway, however often it fails. Buyers wait for its answer; "
    "without one their payment stays unknown until the worker has settled it."
)
BY_ITSELF = (
    "Automatic: it decides by itself again. After “open”, one payment tries the gateway before "
    "everybody's go through."
)


class ForceForm(forms.ModelForm):  # type: ignore[type-arg]
    """Forces a breaker, or hands it back."""

    force_to = forms.ChoiceField(
        label="Make it",
        widget=AdminRadioSelect(attrs={"class": "radiolist"}),
        choices=[("open", OPEN), ("closed", CLOSED), (AUTOMATIC, BY_ITSELF)],
    )
    reason = forms.CharField(
        required=False,
        max_length=REASON_LENGTH,
        widget=AdminTextInputWidget,
        help_text=(
            "For open and closed. Goes into the log and is shown here beside your name: no names "
            "of customers."
        ),
    )
    minutes = forms.IntegerField(
        required=False,
        min_value=LEAST,
        max_value=MOST,
        label="For how many minutes",
        help_text=f"For open and closed: {LEAST} to {MOST}. Then it is automatic by itself.",
    )

    class Meta:
        model = CircuitBreaker
        fields = ()  # they are the breaker's own

    def clean_reason(self) -> str:
        """Make the reason one line."""
        return " ".join(self.cleaned_data["reason"].split())

    def clean(self) -> dict[str, Any]:
        """Ask for a reason and a time, which only handing back does without."""
        super().clean()
        if self.cleaned_data.get("force_to") == AUTOMATIC and not self.instance.is_forced:
            self.add_error("force_to", "It is automatic already.")
        if self.cleaned_data.get("force_to") not in CircuitBreaker.FORCIBLE:
            return self.cleaned_data
        if not self.cleaned_data.get("reason") and "reason" not in self.errors:
            self.add_error("reason", "Say why: the next on duty will ask.")
        if self.cleaned_data.get("minutes") is None and "minutes" not in self.errors:
            self.add_error("minutes", "Say for how long.")
        return self.cleaned_data
