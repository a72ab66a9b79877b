"""URLs of the account pages."""

from django.contrib.auth.views import LogoutView
from django.urls import path

from accounts import data_views, email_views, factor_views, passkey_views, session_views, views

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
    path("email/", email_views.email, name="email"),
    path("email/resend/", email_views.resend, name="email_resend"),
    path("confirm-email/<uidb64>/<token>/", email_views.confirm, name="confirm_email"),
    path("password/", data_views.PasswordView.as_view(), name="password"),
    path("data/", data_views.data, name="data"),
    path("delete/", data_views.erase, name="erase"),
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
    path(
        "second-factor/passkeys/add/",
        passkey_views.PasskeyAddView.as_view(),
        name="passkey_add",
    ),
    path(
        "second-factor/passkeys/add/question/",
        passkey_views.AddQuestionView.as_view(),
        name="passkey_add_question",
    ),
    path(
        "second-factor/passkeys/<int:pk>/remove/",
        passkey_views.PasskeyRemoveView.as_view(),
        name="passkey_remove",
    ),
    path(
        "second-factor/check/passkey/",
        passkey_views.PasskeyCheckView.as_view(),
        name="passkey_check",
    ),
    path(
        "second-factor/check/passkey/question/",
        passkey_views.QuestionView.as_view(),
        name="passkey_question",
    ),
]
