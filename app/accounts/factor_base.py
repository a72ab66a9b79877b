"""What the pages about the second factor share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.contrib.auth.mixins import LoginRequiredMixin
from django.contrib.auth.models import User
from django.contrib.auth.views import RedirectURLMixin
from django.core.exceptions import PermissionDenied
from django.http import HttpResponseRedirect
from django.shortcuts import redirect, render
from django.utils.decorators import method_decorator
from django.views.decorators.debug import sensitive_post_parameters
from django.views.generic import FormView

from accounts.factor_gate import ASKED, CHECK, SESSION_KEY, VERIFIED, is_verified
from accounts.own_sessions import sessions_end
from accounts.second_factor import (
    SCOPE,
    LastFactorError,
    app_of,
    factor_count,
    factor_remove,
    has_factor,
)
from accounts.sessions import stored_key
from retail.throttling import give_back, throttle
from retail.web.client import client_key

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.db.models import QuerySet
    from django.http import HttpRequest, HttpResponse

MANAGE = "accounts:second_factor"


def user_of(request: HttpRequest) -> User:
    """Return the user of a request that is logged in."""
    assert isinstance(request.user, User)  # noqa: S101 - for the type checker; login_required ensures it
    return request.user


def limited(request: HttpRequest, verify: Callable[[], str | None]) -> str | None:
    """Return what `verify` says, which is None for a wrong entry. Raises ThrottledError.

    A client has as many attempts as for passwords.
    """
    user, client = user_of(request), client_key(request)
    seconds = settings.LOGIN_COOLOFF_SECONDS
    limits = {
        f"{user.pk}:{client}": settings.LOGIN_FAILURE_LIMIT,
        f"client:{client}": settings.LOGIN_CLIENT_FAILURE_LIMIT,
    }
    for key, limit in limits.items():
        throttle(SCOPE, [key], limit=limit, seconds=seconds, user_id=user.pk)
    kind = verify()
    if kind is not None:
        give_back(SCOPE, list(limits), seconds=seconds)
    return kind


def trust(request: HttpRequest) -> None:
    """Trust the session from now on, under a new key."""
    request.session.cycle_key()
    request.session[SESSION_KEY] = VERIFIED


def current(request: HttpRequest) -> str:
    """Return the stored key of the request's session."""
    return stored_key(str(request.session.session_key))


def is_required(user: User) -> bool:
    """Return whether the user must have a second factor."""
    return settings.STAFF_MFA and user.is_staff


@method_decorator(sensitive_post_parameters(), name="dispatch")
class FactorView(LoginRequiredMixin, RedirectURLMixin, FormView):  # type: ignore[type-arg]
    """A form about the second factor. A wrong entry responds with 400, as a failed log-in does."""

    next_page = MANAGE

    def form_invalid(self, form: object) -> HttpResponse:
        """Show the form again."""
        return self.render_to_response(self.get_context_data(form=form), status=400)

    def get_context_data(self, **context: Any) -> dict[str, Any]:
        """Return what the template needs."""
        wanted, app = self.get_redirect_url(), app_of(user_of(self.request))
        return super().get_context_data(next=wanted, app=app, **context)


class ProtectedView(FactorView):
    """A page to change the second factor. Who has one must have given it."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """Send those away who have not given theirs, since another session may have added it."""
        is_known = request.user.is_authenticated
        if is_known and not is_verified(request) and has_factor(user_of(request)):
            request.session[SESSION_KEY] = ASKED
            return redirect(CHECK)
        return super().dispatch(request, *args, **kwargs)

    def get_form_kwargs(self) -> dict[str, Any]:
        """Return the form's arguments."""
        return {**super().get_form_kwargs(), "request": self.request}

    def show_codes(self, codes: list[str]) -> HttpResponse:
        """Show new recovery codes, the only time that they can be seen."""
        context = {"codes": codes, "onward": self.get_success_url()}
        return render(self.request, "accounts/recovery_codes.html", context)


class AddingView(ProtectedView):
    """A page to add a factor."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """Let only staff: nobody could help customers who have lost theirs."""
        if request.user.is_authenticated and not request.user.is_staff:
            raise PermissionDenied
        return super().dispatch(request, *args, **kwargs)

    def added(self, codes: list[str]) -> HttpResponse:
        """Trust the session, log out elsewhere, and show recovery codes if there are new ones."""
        trust(self.request)
        sessions_end(user_of(self.request), keep=current(self.request))
        return self.show_codes(codes) if codes else HttpResponseRedirect(self.get_success_url())


class RemovingView(ProtectedView):
    """A page to remove a factor. The last one stays if the account must have one."""

    template_name = "accounts/factor_password.html"

    def get_context_data(self, **context: Any) -> dict[str, Any]:
        """Return what the template needs."""
        is_last = factor_count(user_of(self.request)) == 1
        return super().get_context_data(is_last=is_last, **context)

    def remove(self, rows: QuerySet[Any], kind: str) -> None:
        """Remove these rows, and log out elsewhere."""
        user = user_of(self.request)
        try:
            factor_remove(
                user=user,
                rows=rows,
                kind=kind,
                keep_session=current(self.request),
                required=is_required(user),
            )
        except LastFactorError:
            raise PermissionDenied from None
        if not has_factor(user):
            self.request.session.pop(SESSION_KEY, None)
