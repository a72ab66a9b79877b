"""The WSGI application served by gunicorn."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

application = get_wsgi_application()

from django.db import connections  # noqa: E402 - Django is set up above

from retail.web.malformed import Request  # noqa: E402

application.request_class = Request

from retail.startup import refuse_errors  # noqa: E402

refuse_errors()
connections.close_all()  # this thread serves no requests
