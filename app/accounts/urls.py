"""URLs of the account pages."""

from django.contrib.auth.views import LogoutView
from django.urls import path

from accounts import factor_views, session_views, views, views_data, views_email

app_name = "accounts"
urlpatterns = [
    path("register/", views.register, name="register"),
    path("login/", views.LoginView.as_view(), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("password-reset/", views.PasswordResetView.as_view(), name="password_reset"),
    path("password-reset/sent/", views.PasswordResetSentView.as_view(), name="password_reset_sent"),
    path(
        "password-reset/<uidb64>/<token>/",
        views.PasswordResetConfirmView.as_view(),
        name="password_reset_confirm",
    ),
    path("email/", views_email.email, name="email"),
    path("email/resend/", views_email.resend, name="email_resend"),
    path("confirm-email/<uidb64>/<token>/", views_email.confirm, name="confirm_email"),
    path("password/", views_data.PasswordView.as_view(), name="password"),
    path("data/", views_data.data, name="data"),
    path("delete/", views_data.erase, name="erase"),
    path("profile/", views.profile, name="profile"),
    path("sessions/", session_views.sessions, name="sessions"),
    path("second-factor/", factor_views.second_factor, name="second_factor"),
    path("second-factor/check/", factor_views.FactorCheckView.as_view(), name="factor_check"),
    path("second-factor/set-up/", factor_views.SetUpView.as_view(), name="factor_set_up"),
    path(
        "second-factor/recovery-codes/",
        factor_views.RecoveryCodesView.as_view(),
        name="recovery_codes",
    ),
    path("second-factor/remove/", factor_views.RemoveView.as_view(), name="factor_remove"),
]
