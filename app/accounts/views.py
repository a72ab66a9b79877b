"""Account pages."""

from typing import TYPE_CHECKING

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import login
from django.contrib.auth import views as auth_views
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render, resolve_url
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_http_methods

from accounts.forms import ProfileForm, RegisterForm
from accounts.services import profile_get

if TYPE_CHECKING:
    from django.contrib.auth.models import User


def _next(request: HttpRequest) -> str:
    """Return where the visitor wanted to go, if that is in this shop."""
    wanted = request.POST.get("next") or request.GET.get("next") or ""
    if url_has_allowed_host_and_scheme(
        wanted, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    ):
        return wanted
    return resolve_url(settings.LOGIN_REDIRECT_URL)


@require_http_methods(["GET", "HEAD", "POST"])
def register(request: HttpRequest) -> HttpResponse:
    """Make an account and log it in."""
    if request.user.is_authenticated:
        return redirect(_next(request))
    form = RegisterForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        user: User = form.save()
        login(request, user)
        messages.success(request, f"Welcome, {user.username}.")
        return redirect(_next(request))
    return render(
        request,
        "accounts/register.html",
        {"form": form, "next": request.POST.get("next") or request.GET.get("next", "")},
        status=400 if form.errors else 200,
    )


class LoginView(auth_views.LoginView):
    """Log in; a wrong password answers 400, so that it can be told from a page."""

    template_name = "accounts/login.html"
    redirect_authenticated_user = True

    def form_invalid(self, form: object) -> HttpResponse:
        """Show the form again."""
        return self.render_to_response(self.get_context_data(form=form), status=400)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def profile(request: HttpRequest) -> HttpResponse:
    """Show and change the visitor's own profile."""
    assert request.user.pk is not None  # noqa: S101 - for the type checker; login_required saw to it
    own = profile_get(user_id=request.user.pk)
    form = ProfileForm(request.POST if request.method == "POST" else None, instance=own)
    if request.method == "POST" and form.is_valid():
        form.save()
        messages.success(request, "Saved.")
        return redirect("accounts:profile")
    return render(
        request, "accounts/profile.html", {"form": form}, status=400 if form.errors else 200
    )
