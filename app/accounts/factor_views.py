"""Pages about the second factor: give a code, set up an app, renew recovery codes, remove it.

Those about passkeys are in `passkey_views.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpResponseRedirect
from django.shortcuts import redirect, render
from django.views.decorators.http import require_safe
from django_otp.plugins.otp_totp.models import TOTPDevice

from accounts import passkey_site
from accounts.factor_base import (
    MANAGE,
    AddingView,
    FactorView,
    ProtectedView,
    RemovingView,
    is_required,
    limited,
    trust,
    user_of,
)
from accounts.factor_forms import CodeForm, RecoveryCodeForm, SetUpForm
from accounts.factor_gate import ASKED, SESSION_KEY, is_verified
from accounts.own_forms import OwnPasswordForm
from accounts.second_factor import (
    APP,
    RECOVERY,
    app_add,
    app_of,
    code_verify,
    codes_left,
    factor_count,
    has_factor,
    passkeys_of,
    recovery_codes_renew,
)
from retail.web.kept_forms import login_required

if TYPE_CHECKING:
    from django.forms import Form
    from django.http import HttpRequest, HttpResponse


class FactorCheckView(FactorView):
    """Ask for the second factor after the password."""

    template_name = "accounts/factor_check.html"
    next_page = "products:home"

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """Ask only those who have to answer."""
        if request.session.get(SESSION_KEY) != ASKED:
            return HttpResponseRedirect(self.get_success_url())
        return super().dispatch(request, *args, **kwargs)

    def get_context_data(self, **context: Any) -> dict[str, Any]:
        """Return what the template needs."""
        has_passkeys = passkeys_of(user_of(self.request)).exists()
        problem = passkey_site.problem(self.request) if has_passkeys else ""
        return super().get_context_data(has_passkeys=has_passkeys, problem=problem, **context)

    def get_form_class(self) -> type[Form]:
        """Return the form for a code, which is of an app only for users who have one."""
        return CodeForm if app_of(user_of(self.request)) else RecoveryCodeForm

    def form_valid(self, form: Any) -> HttpResponse:
        """Let the user in, if the code is right."""
        user, code = user_of(self.request), form.cleaned_data["code"]
        kind = limited(self.request, lambda: code_verify(user=user, code=code))
        if kind is None:
            form.add_error("code", "This code is not right, or has been used before.")
            return self.form_invalid(form)
        trust(self.request)
        if kind == RECOVERY:
            left = codes_left(user)
            messages.warning(self.request, f"Recovery codes left: {left}.")
        return super().form_valid(form)


class SetUpView(AddingView):
    """Set up an authenticator app, also in place of another."""

    template_name = "accounts/factor_set_up.html"
    form_class = SetUpForm

    def form_valid(self, form: SetUpForm) -> HttpResponse:
        """Store the app if its code is right, log out elsewhere, and show recovery codes."""
        codes = app_add(
            user=user_of(self.request),
            key=form.cleaned_data["key"],
            code=form.cleaned_data["code"],
            may_replace=is_verified(self.request),
        )
        if codes is None:
            form.add_error("code", "This code is not right. Is your phone's clock right?")
            return self.form_invalid(form)
        if not codes:
            messages.success(self.request, "Authenticator app added.")
        return self.added(codes)


class RecoveryCodesView(ProtectedView):
    """Replace the recovery codes."""

    template_name = "accounts/factor_password.html"
    form_class = OwnPasswordForm
    extra_context = {
        "title": "New recovery codes",
        "text": "The codes that you have now will stop working.",
        "button": "Replace my recovery codes",
    }

    def form_valid(self, _form: OwnPasswordForm) -> HttpResponse:
        """Show new codes."""
        user = user_of(self.request)
        if not has_factor(user):
            return redirect(MANAGE)
        return self.show_codes(recovery_codes_renew(user=user))


class RemoveView(RemovingView):
    """Remove the authenticator app."""

    form_class = OwnPasswordForm
    extra_context = {
        "title": "Remove your authenticator app",
        "text": "Its codes will stop working. You'll be logged out elsewhere.",
        "button": "Remove it",
    }

    def form_valid(self, form: OwnPasswordForm) -> HttpResponse:
        """Remove it."""
        self.remove(TOTPDevice.objects.all(), APP)
        messages.success(self.request, "Authenticator app removed.")
        return super().form_valid(form)


@login_required()
@require_safe
def second_factor(request: HttpRequest) -> HttpResponse:
    """Show the user's second factors."""
    user = user_of(request)
    app, passkeys = app_of(user), list(passkeys_of(user))
    factors = factor_count(user)
    if not (factors or user.is_staff):
        raise PermissionDenied
    context = {
        "app": app,
        "passkeys": passkeys,
        "has_factor": factors > 0,
        "may_remove": factors > 1 or not is_required(user),
        "codes_left": codes_left(user),
        "problem": passkey_site.problem(request),
    }
    return render(request, "accounts/second_factor.html", context)
