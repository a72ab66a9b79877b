"""Settings of the shop, read from the environment (see `.env.example`).

With DEBUG off, the shop refuses to start with development defaults and says what to set.
"""

import logging
import os
from pathlib import Path
from typing import Any

import dj_database_url
from django.conf import global_settings
from django.core.exceptions import ImproperlyConfigured

from config import env
from deployment import Mode, defaults, problems
from retail.observability.logs.formatter import logging_config

BASE_DIR = Path(__file__).resolve().parent.parent
VAR_DIR = env.folder("VAR_DIR", BASE_DIR.parent / "var")
LOG_DIR = env.folder("LOG_DIR", BASE_DIR.parent / "logs")

VERSION = "0.1.0"
REVISION = env.text("REVISION")
SHOP_NAME = "Vitrine"

DEBUG = env.flag("DEBUG", default=False)
# A demo on the internet: test cards, the gateway simulator and synthetic shoppers, as every page
# then says. Development has them too.
DEMO = env.flag("DEMO", default=False)
_MODE = Mode(DEBUG, DEMO)
STAND_INS = _MODE.stand_ins

# --- Secrets and host names: with DEBUG off, none of those for development ----------------------
DATABASE_URL = env.text("DATABASE_URL", f"sqlite:///{VAR_DIR / 'vitrine.sqlite3'}")
_given = {name: env.text(name, default) for name, default in defaults("shop").items()}
SECRET_KEY = _given["SECRET_KEY"]
GATEWAY_API_KEY = _given["GATEWAY_API_KEY"]
METRICS_TOKEN = _given["METRICS_TOKEN"]
ALERTS_TOKEN = _given["ALERTS_TOKEN"]
# Where links in e-mails lead (retail.web.public_url).
SHOP_URL = env.address("SHOP_URL")
ALLOWED_HOSTS = env.words("ALLOWED_HOSTS", ("localhost", "127.0.0.1", "[::1]") if DEBUG else ())
_given["DATABASE_URL"] = env.password_in(DATABASE_URL)
if not _given["DATABASE_URL"]:  # SQLite, or a server that knows its users otherwise
    del _given["DATABASE_URL"]
_given["ALLOWED_HOSTS"] = "*" if "*" in ALLOWED_HOSTS else ",".join(ALLOWED_HOSTS)

if refused := list(problems(_given, _MODE)):
    raise ImproperlyConfigured(" ".join(refused))

# --- The application ----------------------------------------------------------------------------
INSTALLED_APPS = [
    "retail",
    "accounts",
    "django_otp.plugins.otp_totp",
    *("products", "cart", "payments", "orders", "returns", "partner_feeds"),
    "oncall",
    "dashboards",
    "quality",
    "drills",
    "django_q",
    "config.apps.ShopAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
]

MIDDLEWARE = [
    "retail.observability.middleware.ObservabilityMiddleware",
    "retail.web.headers.HeadersMiddleware",
    "retail.web.head.HeadMiddleware",
    "retail.web.malformed.MalformedMiddleware",
    "retail.web.probes.ProbeMiddleware",
    "oncall.webhook.AlertWebhookMiddleware",
    "retail.web.problems.ProblemMiddleware",
    "retail.web.uploads.BodyLimitMiddleware",
    "retail.web.redirects.HttpsMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "retail.web.redirects.SlashMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "accounts.factor_gate.SecondFactorMiddleware",
    "retail.web.access.StaffRequestIdMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "accounts.known_browsers.KnownBrowserMiddleware",
    "accounts.last_seen.LastSeenMiddleware",
]

# Let exceptions reach ProblemMiddleware, which renders error pages.
DEBUG_PROPAGATE_EXCEPTIONS = True

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"

TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "config" / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "retail.web.context.shop",
                "cart.context.cart",
                "accounts.context.notices",
            ],
        },
    },
]

# --- Database -----------------------------------------------------------------------------------
# Nothing waits for PostgreSQL without end; in seconds. Web and worker have shorter defaults than
# commands such as `migrate` (config/processes.py).
DATABASE_CONNECT_TIMEOUT = env.integer("DATABASE_CONNECT_TIMEOUT", 3, least=2)
DATABASE_LOCK_TIMEOUT = env.number("DATABASE_LOCK_TIMEOUT", 30, least=0.1)
DATABASE_STATEMENT_TIMEOUT = env.number("DATABASE_STATEMENT_TIMEOUT", 3600, least=0.1)
DATABASE_IDLE_TIMEOUT = env.number("DATABASE_IDLE_TIMEOUT", 60, least=1)


def _postgres_options(given: dict[str, Any]) -> dict[str, Any]:
    """Return the driver's options: a limit for every wait, and those given in the URL."""
    limits = {
        "statement_timeout": DATABASE_STATEMENT_TIMEOUT,
        "lock_timeout": DATABASE_LOCK_TIMEOUT,
        "idle_in_transaction_session_timeout": DATABASE_IDLE_TIMEOUT,
    }
    at_server = " ".join(f"-c {name}={seconds * 1000:.0f}" for name, seconds in limits.items())
    return {
        "connect_timeout": DATABASE_CONNECT_TIMEOUT,
        # A host that has gone is noticed soon, although it refuses nothing.
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 15_000,  # milliseconds
        **given,
        # The server takes the last: what is committed is on disk, whatever its own default is.
        "options": f"{at_server} {given.get('options', '')} -c synchronous_commit=on",
    }


def _database(url: str) -> dict[str, Any]:
    """Return Django's database settings for `url`, with a backend that counts queries."""
    try:
        database: dict[str, Any] = dict(dj_database_url.parse(url))
    except ValueError as error:
        raise ImproperlyConfigured(
            "DATABASE_URL is invalid: use sqlite:///path or "
            "postgresql://user:password@host:port/name."
        ) from error
    vendor = database["ENGINE"].rpartition(".")[2]
    if vendor not in {"sqlite3", "postgresql"}:
        raise ImproperlyConfigured("DATABASE_URL must name SQLite or PostgreSQL.")
    database["ENGINE"] = f"retail.db.backends.{vendor}"
    database["CONN_MAX_AGE"] = env.integer("DATABASE_CONN_MAX_AGE", 600)  # seconds
    database["CONN_HEALTH_CHECKS"] = vendor == "postgresql"
    if vendor == "postgresql":
        database["OPTIONS"] = _postgres_options(database.get("OPTIONS", {}))
    if vendor == "sqlite3":
        # Several processes write. IMMEDIATE takes the write lock at the start of a transaction, so
        # that none fails half-way with "database is locked"; WAL does not block readers. FULL: an
        # order is on disk before its charge is sent (docs/adr/0020).
        database["OPTIONS"] = {
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,  # seconds
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;",
        }
        # Concurrency tests need a file, and parallel test runs one each.
        database["TEST"] = {"NAME": str(VAR_DIR / f"test-{os.getpid()}.sqlite3")}
        if database["NAME"] != ":memory:":
            Path(database["NAME"]).parent.mkdir(parents=True, exist_ok=True)
    return database


DATABASES = {"default": _database(DATABASE_URL)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Where `manage.py backup` writes to; and the key for it, or the half that only makes backups.
BACKUP_DIR = env.folder("BACKUP_DIR", VAR_DIR / "backups")
BACKUP_KEY = env.text("BACKUP_KEY")

# --- Cache: throttle counts ---------------------------------------------------------------------
CACHE_URL = env.text("CACHE_URL")
CACHES: dict[str, Any] = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": CACHE_URL,
        "OPTIONS": {
            "pool_class": "retail.cache.BoundPool",
            "socket_timeout": 1,  # seconds
            "socket_connect_timeout": 1,
        },
    }
    if CACHE_URL
    else {
        "BACKEND": "django_prometheus.cache.backends.locmem.LocMemCache",
        # The default of 300 entries would evict throttle counts under load.
        "OPTIONS": {"MAX_ENTRIES": 100_000},
    }
}
WEB_CONCURRENCY = env.integer("WEB_CONCURRENCY", 1, least=1)

# --- Accounts -----------------------------------------------------------------------------------
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
] + [
    {"NAME": f"accounts.passwords.{name}"} for name in ("OwnWordsValidator", "StaffLengthValidator")
]
SESSION_ENGINE = "accounts.sessions"
# Staff log in again after so many seconds, and after so many without opening a page.
STAFF_SESSION_SECONDS = 12 * 3600
STAFF_IDLE_SECONDS = 3600
# Whether staff need a second factor (docs/adr/0027).
STAFF_MFA = env.flag("STAFF_MFA", default=not DEBUG)
OTP_TOTP_ISSUER = SHOP_NAME
AUTHENTICATION_BACKENDS = ["accounts.backends.AccountBackend"]
PASSWORD_HASHERS = ["accounts.hashers.BoundedHasher", *global_settings.PASSWORD_HASHERS[1:]]
PASSWORD_HASHING_THREADS = max(1, env.integer("WEB_THREADS", 8, least=1) // 2)
# Wrong passwords (docs/adr/0024): for a name from a client, from a client, and for a name.
LOGIN_FAILURE_LIMIT = env.integer("LOGIN_FAILURE_LIMIT", 5, least=1)
LOGIN_CLIENT_FAILURE_LIMIT = env.integer("LOGIN_CLIENT_FAILURE_LIMIT", 30, least=1)
LOGIN_NAME_FAILURE_LIMIT = env.integer("LOGIN_NAME_FAILURE_LIMIT", 20, least=1)
LOGIN_COOLOFF_SECONDS = env.integer("LOGIN_COOLOFF_SECONDS", 300, least=1)
PASSWORD_RESET_TIMEOUT = 3600  # seconds
THROTTLE_PASSWORD_RESET_LIMIT = env.integer("THROTTLE_PASSWORD_RESET_LIMIT", 3, least=1)
THROTTLE_PASSWORD_RESET_CLIENT_LIMIT = env.integer(
    "THROTTLE_PASSWORD_RESET_CLIENT_LIMIT", 20, least=1
)
THROTTLE_PASSWORD_RESET_SECONDS = env.integer("THROTTLE_PASSWORD_RESET_SECONDS", 3600, least=1)
LOGIN_URL = "accounts:login"
LOGIN_REDIRECT_URL = "products:home"
LOGOUT_REDIRECT_URL = "products:home"

# --- Security -----------------------------------------------------------------------------------
HTTPS = env.flag("HTTPS", default=not DEBUG)
SECURE_SSL_REDIRECT = HTTPS
SECURE_HSTS_SECONDS = 365 * 24 * 3600 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = HTTPS
# Browsers ship the preload list: there is no quick way back. Ask for it yourself.
SECURE_HSTS_PRELOAD = env.flag("HSTS_PRELOAD", default=False)
SILENCED_SYSTEM_CHECKS = ["security.W021"]  # which asks for it
# Who may say which client a request is from, and whether it came over https (retail.web.client).
TRUSTED_PROXIES = env.proxies("TRUSTED_PROXIES")
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if TRUSTED_PROXIES else None
SESSION_COOKIE_SECURE = HTTPS
CSRF_COOKIE_SECURE = HTTPS
CSRF_FAILURE_VIEW = "retail.web.problems.csrf_failure"
CSRF_TRUSTED_ORIGINS = env.words("CSRF_TRUSTED_ORIGINS")
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
# Whom to write to about a vulnerability: an e-mail address, or an https address (retail.web).
SECURITY_CONTACT = env.contact("SECURITY_CONTACT")
SECURITY_KEEP_DAYS = env.integer("SECURITY_KEEP_DAYS", 365, least=1, most=36_500)
DATA_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024  # forms are a few hundred bytes (retail.web.uploads)
FILE_UPLOAD_HANDLERS = ["retail.web.uploads.NoUploads"]
UPLOAD_MOST_BYTES = 32 * 1024 * 1024  # of partners' files, as in nginx/shop.conf
FILE_UPLOAD_TEMP_DIR = VAR_DIR / "incoming"  # while files arrive; /tmp would be memory
# Whether partners' files may be fetched from private addresses, such as 127.0.0.1.
FEEDS_ALLOW_PRIVATE = env.flag("FEEDS_ALLOW_PRIVATE", default=False)

# --- Language and time --------------------------------------------------------------------------
LANGUAGE_CODE = "en-gb"
TIME_ZONE = "UTC"
USE_I18N = False
USE_TZ = True

# --- Static files -------------------------------------------------------------------------------
STATIC_URL = "/static/"
# In development, files are served from the source folders; `collectstatic` collects them otherwise.
_static_root = env.folder("STATIC_ROOT", BASE_DIR.parent / "staticfiles")
STATIC_ROOT = None if DEBUG else _static_root
STATICFILES_DIRS = [BASE_DIR / "config" / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    },
}
WHITENOISE_USE_FINDERS = DEBUG

# --- E-mail -------------------------------------------------------------------------------------
# Without a mail server, e-mails are written to files: on the console they would mix with JSON logs.
EMAIL_HOST = _given["EMAIL_HOST"]
EMAIL_PORT = env.integer("EMAIL_PORT", 25, least=1)
EMAIL_HOST_USER = env.text("EMAIL_HOST_USER")
EMAIL_HOST_PASSWORD = env.text("EMAIL_HOST_PASSWORD")
EMAIL_USE_TLS = env.flag("EMAIL_USE_TLS", default=False)
EMAIL_BACKEND = "retail.mail.smtp.EmailBackend" if EMAIL_HOST else "retail.mail.files.EmailBackend"
EMAIL_FILE_PATH = VAR_DIR / "mail"
# Seconds by the wall clock for a conversation with the mail server, and for its answer to the text.
# Servers may scan a text for minutes; who gives up early sends it twice (RFC 5321, 4.5.3.2.6).
EMAIL_TIMEOUT = env.integer("EMAIL_TIMEOUT", 30, least=1, most=600)
EMAIL_ANSWER_TIMEOUT = env.integer("EMAIL_ANSWER_TIMEOUT", 600, least=1, most=3600)
EMAIL_KEEP_DAYS = env.integer("EMAIL_KEEP_DAYS", 30, least=1, most=36_500)
DEFAULT_FROM_EMAIL = env.text("DEFAULT_FROM_EMAIL", "Vitrine <shop@localhost>")

# --- Money --------------------------------------------------------------------------------------
CURRENCIES = ("EUR", "GBP", "USD")
CURRENCY = env.one_of("CURRENCY", "EUR", CURRENCIES)

# --- Payments -----------------------------------------------------------------------------------
GATEWAY_URL = env.text("GATEWAY_URL", "http://127.0.0.1:8001").rstrip("/")
# Whose payments these are: after a change of GATEWAY_URL, the new gateway must not be asked.
GATEWAY_NAME = env.text("GATEWAY_NAME", GATEWAY_URL.rpartition("://")[2].rpartition("@")[2])
if len(GATEWAY_NAME) > (_longest := 100):
    raise ImproperlyConfigured(f"Set GATEWAY_NAME to a name of at most {_longest} characters.")
GATEWAY_CONNECT_TIMEOUT = env.number("GATEWAY_CONNECT_TIMEOUT", 1, least=0.05)  # seconds
GATEWAY_READ_TIMEOUT = env.number("GATEWAY_READ_TIMEOUT", 3, least=0.05)  # seconds
GATEWAY_ATTEMPTS = env.integer("GATEWAY_ATTEMPTS", 2, least=1)
GATEWAY_RETRY = env.one_of("GATEWAY_RETRY", "keyed", ("keyed", "unsent"))
# What the gateway takes. Prices on sale and orders are within these limits.
GATEWAY_MIN_AMOUNT = env.amount("GATEWAY_MIN_AMOUNT", "0.01")
GATEWAY_MAX_AMOUNT = env.amount("GATEWAY_MAX_AMOUNT", "999999.99")
if GATEWAY_MIN_AMOUNT > GATEWAY_MAX_AMOUNT:
    raise ImproperlyConfigured("GATEWAY_MIN_AMOUNT is above GATEWAY_MAX_AMOUNT.")
BREAKER_FAIL_MAX = env.integer("BREAKER_FAIL_MAX", 5, least=1)  # consecutive failures
BREAKER_RESET_SECONDS = env.number("BREAKER_RESET_SECONDS", 5, least=0.1)
# How the worker finishes payments: it resends the charge for a while, then cancels the key.
PAYMENT_RESEND_AFTER = env.number("PAYMENT_RESEND_AFTER", 30)  # seconds since the reservation
PAYMENT_CANCEL_AFTER = env.number("PAYMENT_CANCEL_AFTER", 120)  # seconds since the first charge
# What was never sent is sent within this time of the reservation, later the order is cancelled.
PAYMENT_SEND_WITHIN = env.number("PAYMENT_SEND_WITHIN", 600, least=1)  # seconds
PAYMENT_LEASE = env.number("PAYMENT_LEASE", 60)  # seconds for claimed payments or refunds
GATEWAY_KEY_LIFE = env.number("GATEWAY_KEY_LIFE", 82_800, least=60)  # seconds; of refunds

# Who bought what is forgotten this long after an order's end (docs/personal-data.md).
ORDER_DETAILS_KEEP_DAYS = env.integer("ORDER_DETAILS_KEEP_DAYS", 1095, least=1, most=36_500)
RETURN_DAYS = env.integer("RETURN_DAYS", 30, least=1, most=3650)  # after the dispatch

# --- Throttling ---------------------------------------------------------------------------------
THROTTLE_CHECKOUT_LIMIT = env.integer("THROTTLE_CHECKOUT_LIMIT", 15, least=1)
THROTTLE_CHECKOUT_SECONDS = env.integer("THROTTLE_CHECKOUT_SECONDS", 60, least=1)
# Per client (retail.web.client) and minute.
THROTTLE_REGISTER_LIMIT = env.integer("THROTTLE_REGISTER_LIMIT", 30, least=1)
THROTTLE_SEARCH_LIMIT = env.integer("THROTTLE_SEARCH_LIMIT", 240, least=1)

# --- Background jobs ----------------------------------------------------------------------------
Q_CLUSTER = {
    "name": "vitrine",
    "orm": "default",
    "workers": env.integer("WORKER_PROCESSES", 1, least=1),
    "poll": 0.2,  # seconds between polls of an empty queue
    "timeout": 170,  # seconds a job may take
    "retry": 180,  # seconds until a dead worker's job runs again; above the timeout
    "max_attempts": 5,
    "ack_failures": False,
    "save_limit": 250,
    "catch_up": False,
    "bulk": 5,
    "queue_limit": 10,
    "recycle": 5000,
    "label": "Background jobs",
}
WORKER_METRICS_HOST = env.text("WORKER_METRICS_HOST", "127.0.0.1")
WORKER_METRICS_PORT = env.integer("WORKER_METRICS_PORT", 8002, least=1)

# --- Observability ------------------------------------------------------------------------------
METRIC_FLUSH_SECONDS = env.number("METRIC_FLUSH_SECONDS", 1, least=0.05)
METRIC_KEEP_DAYS = env.integer("METRIC_KEEP_DAYS", 90, least=1, most=36_500)
PROXY_LOG = env.folder("PROXY_LOG", LOG_DIR / "proxy.log")
RUNBOOKS_DIR = env.folder("RUNBOOKS_DIR", BASE_DIR.parent / "docs" / "runbooks")
# Grafana's public URL: errors on the dashboard link to their log lines there.
GRAFANA_URL = env.text("GRAFANA_URL").rstrip("/")
# The channels that Alertmanager notifies. Only it knows the addresses and keys.
ALERT_RECEIVERS = {
    "e-mail": bool(env.text("ALERT_EMAIL_TO")),
    "Slack": bool(env.text("ALERT_SLACK_WEBHOOK_URL")),
    "PagerDuty": bool(env.text("ALERT_PAGERDUTY_KEY")),
}
logging.captureWarnings(True)
LOG_LEVEL = env.one_of("LOG_LEVEL", "INFO", ("DEBUG", "INFO", "WARNING", "ERROR"))
LOGGING = logging_config(
    level=LOG_LEVEL,
    console_level=env.one_of("LOG_CONSOLE_LEVEL", LOG_LEVEL, ("DEBUG", "INFO", "WARNING", "ERROR")),
    file=LOG_DIR / "application.log",
    max_bytes=env.integer("LOG_MAX_BYTES", 20_000_000, least=10_000),
    backups=env.integer("LOG_BACKUPS", 5, least=1),
    flush_seconds=env.number("LOG_FLUSH_SECONDS", 0.1),
)
