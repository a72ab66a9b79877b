"""Without a mail server, e-mails are files that nobody else reads, for a while."""

from __future__ import annotations

import os
import stat
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from django.core import mail
from django.utils import timezone

from retail.mail import outbox
from retail.models import Email
from tests.support import send_emails

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_django import Settings

    from retail.mail.kinds import EmailKind

pytestmark = pytest.mark.django_db


def test_without_a_mail_server_an_email_is_a_file(
    note: EmailKind, settings: Settings, tmp_path: Path
) -> None:
    settings.EMAIL_BACKEND = "retail.mail.files.EmailBackend"
    settings.EMAIL_FILE_PATH = tmp_path / "mail"
    settings.EMAIL_FILE_PATH.mkdir(mode=0o755)  # by an older version
    note.write(about="bea")
    send_emails()
    [file] = settings.EMAIL_FILE_PATH.iterdir()
    assert "To: bea@example.com" in file.read_text()
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (file, settings.EMAIL_FILE_PATH)]
    assert modes == [0o600, 0o700]
    assert (Email.objects.get().state, mail.outbox) == (Email.State.SENT, [])


def test_emails_in_files_are_deleted_after_a_while(settings: Settings, tmp_path: Path) -> None:
    settings.EMAIL_FILE_PATH = tmp_path / "mail"
    assert outbox.prune(timezone.now()) == 0  # before the first e-mail
    settings.EMAIL_FILE_PATH.mkdir()
    for name, days in (("old.log", 31), ("new.log", 29), ("old.txt", 31)):
        (file := settings.EMAIL_FILE_PATH / name).touch()
        written = (timezone.now() - timedelta(days=days)).timestamp()
        os.utime(file, (written, written))
    assert outbox.prune(timezone.now()) == 1
    assert {path.name for path in settings.EMAIL_FILE_PATH.iterdir()} == {"new.log", "old.txt"}
