"""django-oscar as its documentation sets it up, with DEBUG off; letters go nowhere."""

import os
import secrets

import dj_database_url
from oscar.defaults import *  # noqa: F403 - the way oscar documents

DEBUG = False
SECRET_KEY = os.environ.get("SECRET_KEY") or secrets.token_urlsafe(50)
ALLOWED_HOSTS = ["127.0.0.1"]
SITE_ID = 1
ROOT_URLCONF = "urls"
WSGI_APPLICATION = "wsgi.application"
USE_TZ = True
TIME_ZONE = "UTC"
STATIC_URL = "/static/"
MEDIA_URL = "/media/"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
# Without ATOMIC_REQUESTS, which oscar's documentation recommends: it would hold the hot product's
# row until the answer is made. The peer is measured at its best.
DATABASES = {"default": dj_database_url.parse(os.environ["DATABASE_URL"], conn_max_age=600)}
EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"
HAYSTACK_CONNECTIONS = {"default": {"ENGINE": "haystack.backends.simple_backend.SimpleEngine"}}
OSCAR_DEFAULT_CURRENCY = "EUR"

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.sites",
    "django.contrib.flatpages",
    "oscar.config.Shop",
    *(
        f"oscar.apps.{path}.apps.{name}Config"
        for path, name in {
            "analytics": "Analytics",
            "checkout": "Checkout",
            "address": "Address",
            "shipping": "Shipping",
            "catalogue": "Catalogue",
            "catalogue.reviews": "CatalogueReviews",
            "communication": "Communication",
            "partner": "Partner",
            "basket": "Basket",
            "payment": "Payment",
            "offer": "Offer",
            "order": "Order",
            "customer": "Customer",
            "search": "Search",
            "voucher": "Voucher",
            "wishlists": "Wishlists",
            "dashboard": "Dashboard",
            "dashboard.reports": "ReportsDashboard",
            "dashboard.users": "UsersDashboard",
            "dashboard.orders": "OrdersDashboard",
            "dashboard.catalogue": "CatalogueDashboard",
            "dashboard.offers": "OffersDashboard",
            "dashboard.partners": "PartnersDashboard",
            "dashboard.pages": "PagesDashboard",
            "dashboard.ranges": "RangesDashboard",
            "dashboard.reviews": "ReviewsDashboard",
            "dashboard.vouchers": "VouchersDashboard",
            "dashboard.communications": "CommunicationsDashboard",
            "dashboard.shipping": "ShippingDashboard",
        }.items()
    ),
    "widget_tweaks",
    "haystack",
    "treebeard",
    "django_tables2",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "oscar.apps.basket.middleware.BasketMiddleware",
    "django.contrib.flatpages.middleware.FlatpageFallbackMiddleware",
]

AUTHENTICATION_BACKENDS = [
    "oscar.apps.customer.auth_backends.EmailBackend",
    "django.contrib.auth.backends.ModelBackend",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "oscar.apps.search.context_processors.search_form",
                "oscar.apps.checkout.context_processors.checkout",
                "oscar.apps.communication.notifications.context_processors.notifications",
                "oscar.core.context_processors.metadata",
            ],
        },
    },
]
