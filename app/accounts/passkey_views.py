"""Pages about passkeys: add one, use one at the log-in, remove one.

Opening a page stores nothing. The script fetches a question, whose challenge is then in the
session, when the button is pressed, and sends the browser's answer with the form.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpResponseRedirect, JsonResponse
from django.shortcuts import get_object_or_404

from accounts.factor_base import AddingView, RemovingView, limited, trust, user_of
from accounts.factor_forms import AddPasskeyForm, PasskeyForm
from accounts.factor_gate import is_verified
from accounts.factor_views import FactorCheckView
from accounts.own_forms import OwnPasswordForm
from accounts.passkey_site import problem, site_of
from accounts.passkeys import (
    PasskeyRefusedError,
    passkey_add,
    passkey_verify,
    question_to_add,
    question_to_use,
)
from accounts.second_factor import PASSKEY, passkeys_of

if TYPE_CHECKING:
    from django import forms
    from django.http import HttpResponse

    from accounts.models import Passkey

NO_ANSWER = "Your browser has made no passkey. This page needs JavaScript."


def _refusal(text: str) -> JsonResponse:
    return JsonResponse({"error": text}, status=400)


class PasskeyAddView(AddingView):
    """Add a passkey."""

    template_name = "accounts/passkey_add.html"
    form_class: type[forms.Form] = AddPasskeyForm

    def get_context_data(self, **context: Any) -> dict[str, Any]:
        """Return what the template needs."""
        return super().get_context_data(
            problem=problem(self.request), has_factor=is_verified(self.request), **context
        )

    def form_valid(self, form: forms.Form) -> HttpResponse:
        """Store the passkey, log out elsewhere, and show recovery codes if it is the first one."""
        if not form.cleaned_data["answer"]:
            form.add_error(None, NO_ANSWER)
            return self.form_invalid(form)
        try:
            codes = passkey_add(
                session=self.request.session,
                site=site_of(self.request),
                user=user_of(self.request),
                name=form.cleaned_data["name"],
                answer=form.cleaned_data["answer"],
                may_add=is_verified(self.request),
            )
        except PasskeyRefusedError as error:
            form.add_error(None, str(error))
            return self.form_invalid(form)
        messages.success(self.request, "Passkey added.")
        return self.added(codes)


class AddQuestionView(PasskeyAddView):
    """Return what the browser needs to make a passkey, if the form is right."""

    http_method_names = ["post"]

    def form_valid(self, _form: forms.Form) -> HttpResponse:
        """Ask."""
        if text := problem(self.request):
            return _refusal(text)
        session, site = self.request.session, site_of(self.request)
        question = question_to_add(session, site, user_of(self.request), settings.SHOP_NAME)
        return JsonResponse(question)

    def form_invalid(self, form: Any) -> HttpResponse:
        """Return what is wrong with the form."""
        name, errors = next(iter(form.errors.items()))
        label = f"{form[name].label}: " if name in form.fields else ""
        return _refusal(f"{label}{errors[0]}")


class PasskeyCheckView(FactorCheckView):
    """Let a user in who has answered with a passkey."""

    http_method_names = ["post"]

    def get_form_class(self) -> type[forms.Form]:
        """Return the form for the browser's answer."""
        return PasskeyForm

    def form_valid(self, form: Any) -> HttpResponse:
        """Let the user in, if the answer is right."""
        session, site = self.request.session, site_of(self.request)
        user, answer = user_of(self.request), form.cleaned_data["answer"]
        kind = limited(
            self.request,
            lambda: passkey_verify(session=session, site=site, user=user, answer=answer),
        )
        if kind is None:
            return self.form_invalid(form)
        trust(self.request)
        return HttpResponseRedirect(self.get_success_url())

    def form_invalid(self, _form: object) -> HttpResponse:
        """Show the page that asks, with all ways to answer."""
        code_form = super().get_form_class()()
        context = self.get_context_data(form=code_form, is_refused=True)
        return self.render_to_response(context, status=400)


class QuestionView(FactorCheckView):
    """Return what the browser needs to use one of the user's passkeys."""

    http_method_names = ["post"]

    def post(self, *_args: object, **_kwargs: object) -> HttpResponse:
        """Ask."""
        user = user_of(self.request)
        text = problem(self.request)
        if not (text or passkeys_of(user).exists()):
            text = "You have no passkey any more. Reload the page."
        if text:
            return _refusal(text)
        return JsonResponse(question_to_use(self.request.session, site_of(self.request), user))


class PasskeyRemoveView(RemovingView):
    """Remove a passkey."""

    form_class = OwnPasswordForm

    @property
    def _passkey(self) -> Passkey:
        return get_object_or_404(passkeys_of(user_of(self.request)), pk=self.kwargs["pk"])

    def get_context_data(self, **context: Any) -> dict[str, Any]:
        """Return what the template needs."""
        return super().get_context_data(
            title=f"Remove the passkey “{self._passkey.name}”",
            text="It will stop working. You'll be logged out elsewhere.",
            button="Remove it",
            **context,
        )

    def form_valid(self, form: OwnPasswordForm) -> HttpResponse:
        """Remove it."""
        self.remove(passkeys_of(user_of(self.request)).filter(pk=self._passkey.pk), PASSKEY)
        messages.success(self.request, "Passkey removed.")
        return super().form_valid(form)
