"""All addresses of the shop."""

from django.contrib import admin
from django.urls import include, path

from retail import views as retail_views

handler400 = "retail.problems.bad_request"
handler403 = "retail.problems.permission_denied"
handler404 = "retail.problems.page_not_found"

urlpatterns = [
    path("", include("products.urls")),
    path("", include("orders.urls")),
    path("cart/", include("cart.urls")),
    path("accounts/", include("accounts.urls")),
    path("admin/", admin.site.urls),
    path("metrics/", include("dashboards.urls")),
    path("metrics/", include("quality.urls")),
    path("metrics", retail_views.metrics, name="metrics"),
    path("healthz", retail_views.healthz, name="healthz"),
    path("readyz", retail_views.readyz, name="readyz"),
]
