"""Pages about the second factor: give a code, set up an app, renew recovery codes, remove it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.mixins import LoginRequiredMixin
from django.contrib.auth.models import User
from django.contrib.auth.views import RedirectURLMixin
from django.core.exceptions import PermissionDenied
from django.shortcuts import redirect, render
from django.utils.decorators import method_decorator
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_safe
from django.views.generic import FormView

from accounts.factor_forms import CodeForm, SetUpForm
from accounts.factor_gate import ASKED, CHECK, SESSION_KEY, VERIFIED, is_verified
from accounts.own_forms import OwnPasswordForm
from accounts.own_sessions import sessions_end
from accounts.second_factor import (
    RECOVERY,
    SCOPE,
    app_add,
    app_of,
    code_verify,
    codes_left,
    factor_remove,
    recovery_codes_renew,
)
from accounts.sessions import stored_key
from retail.throttling import give_back, throttle
from retail.web.client import client_key
from retail.web.kept_forms import login_required

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

MANAGE = "accounts:second_factor"


def _user(request: HttpRequest) -> User:
    assert isinstance(request.user, User)  # noqa: S101 - for the type checker; login_required ensures it
    return request.user


def _limited_verify(request: HttpRequest, code: str) -> str | None:
    """Return what a code is of, if it is right. Raises ThrottledError.

    A client has as many attempts as for passwords.
    """
    user, client = _user(request), client_key(request)
    seconds = settings.LOGIN_COOLOFF_SECONDS
    limits = {
        f"{user.pk}:{client}": settings.LOGIN_FAILURE_LIMIT,
        f"client:{client}": settings.LOGIN_CLIENT_FAILURE_LIMIT,
    }
    for key, limit in limits.items():
        throttle(SCOPE, [key], limit=limit, seconds=seconds, user_id=user.pk)
    kind = code_verify(user=user, code=code)
    if kind is not None:
        give_back(SCOPE, list(limits), seconds=seconds)
    return kind


def _now_verified(request: HttpRequest) -> None:
    """Trust the session from now on, under a new key."""
    request.session.cycle_key()
    request.session[SESSION_KEY] = VERIFIED


def _current(request: HttpRequest) -> str:
    return stored_key(str(request.session.session_key))


@method_decorator(sensitive_post_parameters(), name="dispatch")
class FactorView(LoginRequiredMixin, RedirectURLMixin, FormView):  # type: ignore[type-arg]
    """A form about the second factor. A wrong entry responds with 400, as a failed log-in does."""

    next_page = MANAGE

    def form_invalid(self, form: object) -> HttpResponse:
        """Show the form again."""
        return self.render_to_response(self.get_context_data(form=form), status=400)

    def get_context_data(self, **context: Any) -> dict[str, Any]:
        """Return what the template needs."""
        wanted = self.get_redirect_url()
        return super().get_context_data(next=wanted, app=app_of(_user(self.request)), **context)


class FactorCheckView(FactorView):
    """Ask for the second factor after the password."""

    template_name = "accounts/factor_check.html"
    form_class = CodeForm
    next_page = "products:home"

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """Ask only those who have to answer."""
        if request.session.get(SESSION_KEY) != ASKED:
            return redirect(self.get_success_url())
        return super().dispatch(request, *args, **kwargs)

    def form_valid(self, form: CodeForm) -> HttpResponse:
        """Let the user in, if the code is right."""
        kind = _limited_verify(self.request, form.cleaned_data["code"])
        if kind is None:
            form.add_error("code", "This code is not right, or has been used before.")
            return self.form_invalid(form)
        _now_verified(self.request)
        if kind == RECOVERY:
            left = codes_left(_user(self.request))
            messages.warning(self.request, f"Recovery codes left: {left}.")
        return super().form_valid(form)


class ProtectedView(FactorView):
    """A page to change the second factor. Who has one must have given it."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """Send those away who have not given theirs, since another session may have added it."""
        if request.user.is_authenticated and not is_verified(request) and app_of(_user(request)):
            request.session[SESSION_KEY] = ASKED
            return redirect(CHECK)
        return super().dispatch(request, *args, **kwargs)

    def get_form_kwargs(self) -> dict[str, Any]:
        """Return the form's arguments."""
        return {**super().get_form_kwargs(), "request": self.request}

    def _show_codes(self, codes: list[str]) -> HttpResponse:
        context = {"codes": codes, "onward": self.get_success_url()}
        return render(self.request, "accounts/recovery_codes.html", context)


class SetUpView(ProtectedView):
    """Set up an authenticator app, also in place of another."""

    template_name = "accounts/factor_set_up.html"
    form_class = SetUpForm

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """Let only staff: nobody could help customers who have lost theirs."""
        if request.user.is_authenticated and not request.user.is_staff:
            raise PermissionDenied
        return super().dispatch(request, *args, **kwargs)

    def form_valid(self, form: SetUpForm) -> HttpResponse:
        """Store the app if its code is right, log out elsewhere, and show recovery codes."""
        user, replace = _user(self.request), is_verified(self.request)
        codes = app_add(
            user=user,
            key=form.cleaned_data["key"],
            code=form.cleaned_data["code"],
            may_replace=replace,
        )
        if codes is None:
            form.add_error("code", "This code is not right. Is your phone's clock right?")
            return self.form_invalid(form)
        _now_verified(self.request)
        sessions_end(user, keep=_current(self.request))
        return self._show_codes(codes)


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
        if app_of(_user(self.request)) is None:
            return redirect(MANAGE)
        return self._show_codes(recovery_codes_renew(user=_user(self.request)))


class RemoveView(ProtectedView):
    """Remove the second factor, if the account may be without one."""

    template_name = "accounts/factor_password.html"
    form_class = OwnPasswordForm
    extra_context = {
        "title": "Remove your second factor",
        "text": "Your password alone will be enough to log in. You'll be logged out elsewhere.",
        "button": "Remove it",
    }

    def form_valid(self, form: OwnPasswordForm) -> HttpResponse:
        """Remove it."""
        user = _user(self.request)
        if settings.STAFF_MFA and user.is_staff:
            raise PermissionDenied
        factor_remove(user=user, keep_session=_current(self.request))
        self.request.session.pop(SESSION_KEY, None)
        messages.success(self.request, "Second factor removed.")
        return super().form_valid(form)


@login_required()
@require_safe
def second_factor(request: HttpRequest) -> HttpResponse:
    """Show the user's second factor."""
    user = _user(request)
    app = app_of(user)
    if app is None and not user.is_staff:
        raise PermissionDenied
    context = {
        "app": app,
        "codes_left": codes_left(user),
        "required": settings.STAFF_MFA and user.is_staff,
    }
    return render(request, "accounts/second_factor.html", context)
