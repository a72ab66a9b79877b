"""The WSGI application served by gunicorn."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

application = get_wsgi_application()

from accounts.checks import refuse_default_password  # noqa: E402 - Django is set up above

refuse_default_password()
