"""A Django view that reserves in one statement and does nothing else: no session, no middleware.

Served by gunicorn on the shop's own tables (DATABASE_URL). POST / with the fields product, user,
form, reference and key answers 302, or 409 when the product is sold out.
"""

import os
import secrets
from typing import TYPE_CHECKING

import dj_database_url
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.db import connection
from django.http import HttpResponse
from django.urls import path

from benchmarks.support.statement import RESERVE

if TYPE_CHECKING:
    from django.http import HttpRequest

settings.configure(
    DEBUG=False,
    SECRET_KEY=secrets.token_urlsafe(50),
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    USE_TZ=True,
    DATABASES={"default": dj_database_url.parse(os.environ["DATABASE_URL"], conn_max_age=600)},
)


def reserve(request: "HttpRequest") -> HttpResponse:
    """Take one of the product."""
    with connection.cursor() as cursor:
        cursor.execute(RESERVE, request.POST.dict())
        found = cursor.fetchone()
    status, headers = (302, {"Location": f"/{found[0]}"}) if found else (409, {})
    return HttpResponse(status=status, headers={"Content-Length": "0", **headers})


urlpatterns = [path("", reserve)]
application = get_wsgi_application()
