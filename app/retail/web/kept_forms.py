"""What a visitor typed into a form is kept while they log in again.

A session may end between opening a form and sending it. The fields named by the page are kept in
the new session until KEPT_SECONDS have passed. They are shown only on that page, and only to the
customer that the form was shown to.
"""

from __future__ import annotations

import time
from functools import wraps
from itertools import islice
from typing import TYPE_CHECKING

from django.contrib import messages
from django.contrib.auth.views import redirect_to_login
from django.utils.crypto import constant_time_compare, salted_hmac

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from django.http import HttpRequest, HttpResponse

    View = Callable[..., HttpResponse]

SESSION_KEY = "kept_form"
KEPT_SECONDS = 3600
MOST_CHARACTERS = 1000  # of a field
MOST_FIELDS, LONGEST_NAME = 50, 50  # of those named by a prefix
SHOWN_TO = "shown_to"


def shown_to(request: HttpRequest) -> str:
    """Return the value of the hidden field that tells a form of one customer from another's."""
    return salted_hmac(SHOWN_TO, str(request.user.pk)).hexdigest()[:32]


def _named(request: HttpRequest, names: Sequence[str]) -> Iterator[str]:
    """Yield the names of fields; `prefix*` stands for those of the form that begin with it."""
    for name in names:
        if name.endswith("*"):
            sent = (each for each in request.POST if each.startswith(name[:-1]))
            yield from islice((each for each in sent if len(each) <= LONGEST_NAME), MOST_FIELDS)
        else:
            yield name


def keep(request: HttpRequest, names: Sequence[str]) -> None:
    """Keep these fields of the request's form."""
    request.session[SESSION_KEY] = {
        "path": request.path,
        "at": time.time(),
        SHOWN_TO: request.POST.get(SHOWN_TO, "")[:MOST_CHARACTERS],
        "fields": {
            name: request.POST.get(name, "")[:MOST_CHARACTERS] for name in _named(request, names)
        },
    }


def kept(request: HttpRequest) -> dict[str, str]:
    """Return what was kept of this page's form, without empty fields."""
    form = request.session.get(SESSION_KEY)
    if form is None or form["path"] != request.path:
        return {}
    if abs(time.time() - form["at"]) > KEPT_SECONDS:
        forget(request)
        return {}
    if form[SHOWN_TO] and not constant_time_compare(form[SHOWN_TO], shown_to(request)):
        return {}
    return {name: value for name, value in form["fields"].items() if value}


def forget(request: HttpRequest) -> None:
    """Forget the kept form: it has been sent, or it is too old."""
    request.session.pop(SESSION_KEY, None)


def login_required(*names: str) -> Callable[[View], View]:
    """Redirect visitors to the log-in page, and keep these fields of a form that they sent."""

    def decorate(view: View) -> View:
        @wraps(view)
        def checked(request: HttpRequest, *args: object, **kwargs: object) -> HttpResponse:
            if request.user.is_authenticated:
                return view(request, *args, **kwargs)
            if request.method != "POST" or not names:
                return redirect_to_login(request.get_full_path())
            keep(request, names)
            messages.warning(
                request,
                "Your session has ended, so nothing has been saved or charged. "
                "Log in to continue. We've kept what you typed.",
            )
            return redirect_to_login(request.path)

        return checked

    return decorate
