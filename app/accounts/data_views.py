"""Pages where users change their password, download their data and erase their account."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib import messages
from django.contrib.auth import views as auth_views
from django.contrib.auth.models import AnonymousUser
from django.http import HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse_lazy
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from accounts.emails import password_changed
from accounts.own_forms import OwnPasswordForm, PasswordForm
from accounts.personal import account_erase
from retail import personal_data
from retail.personal_data import ErasureRefusedError
from retail.security.trail import record
from retail.web.kept_forms import login_required

if TYPE_CHECKING:
    from django.http import HttpRequest

FILE_NAME = "account.json"


class PasswordView(auth_views.PasswordChangeView):
    """Change the password. Other sessions of the account end."""

    template_name = "accounts/password.html"
    form_class = PasswordForm
    success_url = reverse_lazy("accounts:profile")

    def get_form_kwargs(self) -> dict[str, object]:
        """Let the form limit guesses by the request's client."""
        return {**super().get_form_kwargs(), "request": self.request}

    def form_valid(self, form: PasswordForm) -> HttpResponse:  # type: ignore[override]
        """Save the new password, and notify the user."""
        response = super().form_valid(form)
        password_changed(self.request, form.user)
        messages.success(self.request, "Password changed.")
        return response

    def form_invalid(self, form: PasswordForm) -> HttpResponse:  # type: ignore[override]
        """Show the form again."""
        return self.render_to_response(self.get_context_data(form=form), status=400)


def _form(request: HttpRequest) -> OwnPasswordForm:
    return OwnPasswordForm(request.POST if request.method == "POST" else None, request=request)


@login_required()
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def data(request: HttpRequest) -> HttpResponse:
    """Show what can be downloaded; on POST, send everything that is stored of the user."""
    form = _form(request)
    if request.method == "POST" and form.is_valid():
        user_id = request.user.pk
        assert user_id is not None  # noqa: S101 - for the type checker; login_required ensures it
        record("data_exported", user_id=user_id, subject=f"auth.user {user_id}")
        content = {"exported_at": timezone.now(), **personal_data.exported(user_id)}
        disposition = {"Content-Disposition": f'attachment; filename="{FILE_NAME}"'}
        return JsonResponse(content, json_dumps_params={"indent": 2}, headers=disposition)
    status = 400 if form.errors else 200
    return render(request, "accounts/data.html", {"form": form}, status=status)


@login_required()
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def erase(request: HttpRequest) -> HttpResponse:
    """Say what an erasure does; on POST, do it, and log out."""
    is_staff = request.user.is_staff or request.user.is_superuser
    form = _form(request)
    if request.method == "POST" and not is_staff and form.is_valid():
        user_id = request.user.pk
        assert user_id is not None  # noqa: S101 - for the type checker; login_required ensures it
        try:
            account_erase(user_id=user_id)
        except ErasureRefusedError as error:
            form.add_error(None, str(error))
        else:
            request.session.flush()  # a log-out would leave the client's address in the trail
            request.user = AnonymousUser()
            messages.success(request, "Your account and your data are deleted.")
            return redirect("products:home")
    context = {"form": form, "is_staff": is_staff}
    status = 403 if is_staff and request.method == "POST" else 400 if form.errors else 200
    return render(request, "accounts/erase.html", context, status=status)
