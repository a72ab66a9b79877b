"""All URLs of the shop."""

from django.contrib import admin
from django.urls import include, path

from retail.web import probes
from retail.web.security_txt import security_txt

handler400 = "retail.web.problems.bad_request"
handler403 = "retail.web.problems.permission_denied"
handler404 = "retail.web.problems.page_not_found"

urlpatterns = [
    path("", include("products.urls")),
    path("", include("orders.urls")),
    path("", include("returns.urls")),
    path("", include("partner_feeds.urls")),
    path("cart/", include("cart.urls")),
    path("accounts/", include("accounts.urls")),
    path("admin/", admin.site.urls),
    path("metrics/", include("dashboards.urls")),
    path("metrics/", include("oncall.urls")),
    path("metrics/", include("quality.urls")),
    path("metrics", probes.metrics, name="metrics"),
    path(".well-known/security.txt", security_txt, name="security_txt"),
    path("healthz", probes.healthz, name="healthz"),
    path("readyz", probes.readyz, name="readyz"),
]
