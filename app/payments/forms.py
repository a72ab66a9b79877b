"""The admin form of the circuit breaker."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.admin.widgets import AdminRadioSelect, AdminTextInputWidget

from payments.models import FORCE_MINUTES, REASON_LENGTH, CircuitBreaker

AUTOMATIC = "automatic"
LEAST, MOST = FORCE_MINUTES
# What each choice means for buyers.
OPEN_LABEL = (
    "Open: nobody can pay. The gateway is not called, carts are kept, and buyers are asked to try "
    "again shortly."
)
CLOSED_LABEL = (
    "Closed: every order is charged, even if the gateway keeps failing. Buyers wait for its "
    "response; without one, the payment stays unknown until the worker settles it."
)
AUTOMATIC_LABEL = (
    "Automatic: the breaker opens and closes by itself. After a forced open, one payment probes "
    "the gateway before others go through."
)


class ForceForm(forms.ModelForm):  # type: ignore[type-arg]
    """Forces a breaker, or returns it to automatic."""

    force_to = forms.ChoiceField(
        label="New state",
        widget=AdminRadioSelect(attrs={"class": "radiolist"}),
        choices=[("open", OPEN_LABEL), ("closed", CLOSED_LABEL), (AUTOMATIC, AUTOMATIC_LABEL)],
    )
    reason = forms.CharField(
        required=False,
        max_length=REASON_LENGTH,
        widget=AdminTextInputWidget,
        help_text=(
            "Required for open and closed. Logged and shown here with your username; don't include "
            "customers' names."
        ),
    )
    minutes = forms.IntegerField(
        required=False,
        min_value=LEAST,
        max_value=MOST,
        label="Duration in minutes",
        help_text=(
            f"Required for open and closed: {LEAST} to {MOST}. The breaker then returns to "
            "automatic."
        ),
    )

    # By whom and until when the breaker was forced when the form was shown.
    seen = forms.CharField(required=False, widget=forms.HiddenInput)

    class Meta:
        model = CircuitBreaker
        fields = ()  # the breaker's fields are not edited directly

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial["seen"] = self._force()

    def _force(self) -> str:
        breaker = self.instance
        if not breaker.is_forced:
            return AUTOMATIC
        until = f"{breaker.forced_until:%H:%M:%S %Z}"
        return f"forced {breaker.forced_state} by {breaker.forced_by} until {until}"

    def clean_seen(self) -> str:
        """Refuse to replace, unseen, what somebody else has decided since the form was shown."""
        seen: str = self.cleaned_data["seen"]
        if seen and seen != (now := self._force()):
            self.data = {
                **{name: self.data[name] for name in self.data},
                "seen": now,
            }  # the next submission has seen it
            raise forms.ValidationError(
                f"The breaker is now {now}. Save again if you still want to change it."
            )
        return seen

    def clean_reason(self) -> str:
        """Normalise whitespace to keep the reason on one line."""
        return " ".join(self.cleaned_data["reason"].split())

    def clean(self) -> dict[str, Any]:
        """Require a reason and a duration, unless the breaker returns to automatic."""
        super().clean()
        if self.cleaned_data.get("force_to") == AUTOMATIC and not self.instance.is_forced:
            self.add_error("force_to", "The breaker is already automatic.")
        if self.cleaned_data.get("force_to") not in CircuitBreaker.FORCIBLE:
            return self.cleaned_data
        if not self.cleaned_data.get("reason") and "reason" not in self.errors:
            self.add_error("reason", "Enter a reason.")
        if self.cleaned_data.get("minutes") is None and "minutes" not in self.errors:
            self.add_error("minutes", "Enter a duration.")
        return self.cleaned_data
