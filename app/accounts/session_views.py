"""The page on which users see where they are logged in, and log out elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib import messages
from django.contrib.auth.models import User
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from accounts.own_sessions import sessions_end, sessions_open
from accounts.sessions import stored_key
from retail.web.kept_forms import login_required

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse


@login_required()
@require_http_methods(["GET", "HEAD", "POST"])
def sessions(request: HttpRequest) -> HttpResponse:
    """List the user's sessions; end one, or all but this one."""
    user = request.user
    assert isinstance(user, User)  # noqa: S101 - for the type checker; login_required ensures it
    current = stored_key(str(request.session.session_key))
    if request.method == "POST":
        # An unknown one has ended before. This one ends by logging out.
        chosen = "" if "others" in request.POST else request.POST.get("session", current)
        if chosen != current and "\x00" not in chosen:
            sessions_end(user, only=chosen or None, keep=current)
            text = "Logged out there." if chosen else "Logged out everywhere else."
            messages.success(request, text)
        return redirect("accounts:sessions")
    context = {"sessions": sessions_open(user), "current": current, "now": timezone.now()}
    return render(request, "accounts/sessions.html", context)
