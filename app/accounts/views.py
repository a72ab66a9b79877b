"""Account pages: registration, login, password reset, profile."""

import hashlib

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import login
from django.contrib.auth import views as auth_views
from django.contrib.auth.forms import PasswordResetForm, SetPasswordForm
from django.contrib.auth.models import User
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render, resolve_url
from django.urls import reverse_lazy
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_http_methods

from accounts.address_emails import ask_to_confirm, throttle_letters
from accounts.addresses import address_key, verified_address
from accounts.emails import password_changed
from accounts.forms import OutboxPasswordResetForm, ProfileForm, RegisterForm
from accounts.known_browsers import remember_browser
from accounts.services import customer_register, profile_get, profile_lock
from retail.security.trail import record, subject_of
from retail.throttling import ThrottledError, is_first, throttle
from retail.web.client import client_key
from retail.web.kept_forms import forget, kept, login_required

DOUBLE_CLICK_SECONDS = 10
TAKEN = User._meta.get_field("username").error_messages["unique"]  # noqa: SLF001 - documented API


def _next(request: HttpRequest) -> str:
    """Return the `next` URL if it is on this site, else the default page after login."""
    next_url = request.POST.get("next") or request.GET.get("next") or ""
    if url_has_allowed_host_and_scheme(
        next_url, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    ):
        return next_url
    return resolve_url(settings.LOGIN_REDIRECT_URL)


def _create(request: HttpRequest, form: RegisterForm) -> User | None:
    """Create the account, or add an error to the form if the username is taken by now."""
    data = form.cleaned_data
    with transaction.atomic():
        user = customer_register(
            username=data["username"], email=data["email"], password=data["password1"]
        )
        if user is not None and data["email"]:
            ask_to_confirm(request, user_id=user.pk, address=data["email"])
    if user is None:
        form.add_error("username", TAKEN)
    return user


@require_http_methods(["GET", "HEAD", "POST"])
def register(request: HttpRequest) -> HttpResponse:
    """Create an account and log in."""
    if request.user.is_authenticated:
        return HttpResponseRedirect(_next(request))
    if request.method == "POST":
        throttle(
            "register",
            [client_key(request)],
            limit=settings.THROTTLE_REGISTER_LIMIT,
            seconds=60,
            user_id=None,
        )
    form = RegisterForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid() and (user := _create(request, form)):
        login(request, user, backend="accounts.backends.AccountBackend")
        confirm = (
            " Open the link that we've sent you to confirm your address." if user.email else ""
        )
        messages.success(request, f"Welcome, {user.username}.{confirm}")
        return HttpResponseRedirect(_next(request))
    return render(
        request,
        "accounts/register.html",
        {"form": form, "next": request.POST.get("next") or request.GET.get("next", "")},
        status=400 if form.errors else 200,
    )


class LoginView(auth_views.LoginView):
    """Log in. A failed login responds with 400, to distinguish it from a page view."""

    template_name = "accounts/login.html"
    redirect_authenticated_user = True

    def form_invalid(self, form: object) -> HttpResponse:
        """Show the form again."""
        return self.render_to_response(self.get_context_data(form=form), status=400)


class PasswordResetView(auth_views.PasswordResetView):
    """Send a reset link. The response is the same whether or not the address is known."""

    template_name = "accounts/password_reset.html"
    form_class = OutboxPasswordResetForm
    success_url = reverse_lazy("accounts:password_reset_sent")

    def form_valid(self, form: PasswordResetForm) -> HttpResponse:
        """Queue the e-mail, at most THROTTLE_PASSWORD_RESET_LIMIT times per period."""
        address = address_key(form.cleaned_data["email"])
        if self._is_double_click(address):
            return HttpResponseRedirect(self.get_success_url())
        try:
            throttle_letters(self.request, "password_reset", address)
        except ThrottledError as error:
            error.advice = "and check your spam folder for the e-mails that we've already sent"
            raise
        return super().form_valid(form)

    def _is_double_click(self, address: str) -> bool:
        """Whether this page's form was sent just before. Each page has another token."""
        token = self.request.POST.get("csrfmiddlewaretoken")
        form = hashlib.sha256(f"{token} {address}".encode()).hexdigest()
        return token is not None and not is_first(
            f"password_reset:{form}", seconds=DOUBLE_CLICK_SECONDS
        )


class PasswordResetSentView(auth_views.PasswordResetDoneView):
    """Tell the visitor to check their e-mail."""

    template_name = "accounts/password_reset_sent.html"
    extra_context = {"mail_in_files": not settings.EMAIL_HOST and settings.DEBUG}


class PasswordResetConfirmView(auth_views.PasswordResetConfirmView):
    """Let the visitor choose a new password."""

    template_name = "accounts/password_reset_confirm.html"
    success_url = reverse_lazy("accounts:login")

    def form_valid(self, form: SetPasswordForm) -> HttpResponse:  # type: ignore[type-arg]
        """Save the new password."""
        record("reset_used", user_id=None, subject=subject_of(form.user))
        messages.success(self.request, "Password changed. Log in with your new password.")
        assert self.user is not None  # noqa: S101 - for the type checker; the link was valid
        remember_browser(self.request, self.user)  # who can read the user's mail
        password_changed(self.request, self.user)
        return super().form_valid(form)


@login_required(*ProfileForm.Meta.fields)
@require_http_methods(["GET", "HEAD", "POST"])
def profile(request: HttpRequest) -> HttpResponse:
    """Show and update the visitor's own profile."""
    assert request.user.pk is not None  # noqa: S101 - for the type checker; login_required ensures it
    status = 200
    if request.method == "POST":
        with transaction.atomic():
            form = ProfileForm(request.POST, instance=profile_lock(user_id=request.user.pk))
            if form.is_valid():
                form.save()
                forget(request)
                messages.success(request, "Changes saved.")
                return redirect("accounts:profile")
            transaction.set_rollback(True)  # a refused form creates no profile
        status = 409 if form.conflicts else 400
    else:
        form = ProfileForm(instance=profile_get(user_id=request.user.pk), initial=kept(request))
    context = {"form": form, "email_verified": verified_address(request.user) is not None}
    return render(request, "accounts/profile.html", context, status=status)
