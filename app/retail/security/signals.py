"""Records what Django says about log-ins, accounts and their rights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib.auth import signals
from django.contrib.auth.models import Group, User
from django.db.models.signals import m2m_changed, post_save, pre_save

from retail.security.trail import actor, record, subject_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from django.db.models import Model

RIGHTS = ("is_active", "is_staff", "is_superuser")
WATCHED = ("email", "password", *RIGHTS)


def logged_in(user: User, **_signal: Any) -> None:
    """Record a log-in."""
    record("log_in", user_id=user.pk)


def logged_out(user: User | None, **_signal: Any) -> None:
    """Record a log-out. A visitor without an account may send the form too."""
    if user is not None:
        record("log_out", user_id=user.pk)


def login_failed(credentials: Mapping[str, Any], **_signal: Any) -> None:
    """Record a failed log-in, with the account's id if there is such an account."""
    name = str(credentials.get(User.USERNAME_FIELD) or "")
    known = None
    if name and "\x00" not in name:
        known = User.objects.filter(username=name).values_list("pk", flat=True).first()
    record("log_in", user_id=known, succeeded=False)


def before_save(instance: User, update_fields: Collection[str] | None, **_signal: Any) -> None:
    """Remember what is stored, if the save may change what is watched."""
    instance._stored = None  # type: ignore[attr-defined]  # noqa: SLF001 - ours
    if instance.pk and (update_fields is None or set(update_fields) & set(WATCHED)):
        stored = User.objects.filter(pk=instance.pk).values(*WATCHED).first()
        instance._stored = stored  # type: ignore[attr-defined]  # noqa: SLF001 - ours


def after_save(instance: User, created: bool, **_signal: Any) -> None:
    """Record a new account, and what was changed of an existing one."""
    subject = subject_of(instance)
    stored = getattr(instance, "_stored", None)
    if created:
        given = [name for name in RIGHTS[1:] if getattr(instance, name)]
        record("account_created", user_id=actor(), subject=subject, detail=" ".join(given))
    elif stored is not None:
        changed = {name for name in WATCHED if stored[name] != getattr(instance, name)}
        # Django hashes a right password anew when its hashing has become stronger.
        if "password" in changed and (
            instance._password is not None or not instance.has_usable_password()  # type: ignore[attr-defined]  # noqa: SLF001
        ):
            record("password_changed", user_id=actor(), subject=subject)
        if "email" in changed:
            record("email_changed", user_id=actor(), subject=subject)
        if rights := [name for name in RIGHTS if name in changed]:
            record("rights_changed", user_id=actor(), subject=subject, detail=" ".join(rights))


def rights_changed(
    sender: type[Model], instance: Model, action: str, pk_set: set[int] | None, **_signal: Any
) -> None:
    """Record that groups or permissions were given or taken."""
    step, _, what = action.partition("_")
    if step == "post" and (pk_set or what == "clear"):
        table = sender._meta.model_name or ""  # noqa: SLF001 - documented API
        ids = " ".join(map(str, sorted(pk_set or ())))
        detail = f"{table.partition('_')[2]} {what} {ids}".strip()
        record("rights_changed", user_id=actor(), subject=subject_of(instance), detail=detail)


def connect() -> None:
    """Connect all of these."""
    signals.user_logged_in.connect(logged_in)
    signals.user_logged_out.connect(logged_out)
    signals.user_login_failed.connect(login_failed)
    pre_save.connect(before_save, sender=User)
    post_save.connect(after_save, sender=User)
    for through in (User.groups.through, User.user_permissions.through, Group.permissions.through):
        m2m_changed.connect(rights_changed, sender=through)
