"""Files are refused before anything of them is stored, and large bodies before they are read."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_django import Settings

pytestmark = pytest.mark.django_db

REGISTER = "/accounts/register/"


class Unreadable(BytesIO):
    """A body that must not be read."""

    def read(self, size: int | None = -1) -> bytes:  # noqa: ARG002 - its base's
        raise AssertionError("read")


def test_a_file_is_refused_and_not_stored(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.FILE_UPLOAD_TEMP_DIR = str(tmp_path)
    monkeypatch.setattr("django.core.files.uploadhandler.TemporaryFileUploadHandler.chunk_size", 1)
    form = {"username": "bea", "file": SimpleUploadedFile("a.txt", b"x" * 500_000)}
    stranger = Client(enforce_csrf_checks=True)  # is not even read
    for client, status in ((Client(), 400), (stranger, 403)):
        assert client.post(REGISTER, form).status_code == status
        assert list(tmp_path.iterdir()) == []


def test_fields_of_a_multipart_form_are_read(client: Client) -> None:
    page = client.post(REGISTER, {"username": "two words"}).content.decode()
    assert "Enter a valid username." in page


@pytest.mark.parametrize("kind", ["multipart/form-data; boundary=b", "text/plain"])
@pytest.mark.parametrize("path", [REGISTER, "/nowhere/", "/admin/login/"])
def test_a_large_body_is_refused_unread(
    client: Client, settings: Settings, kind: str, path: str
) -> None:
    length = settings.DATA_UPLOAD_MAX_MEMORY_SIZE + 1
    extra = {"wsgi.input": Unreadable(), "CONTENT_LENGTH": str(length), "CONTENT_TYPE": kind}
    answer = client.generic("POST", path, **extra)  # type: ignore[arg-type]
    assert answer.status_code == 413
    assert "Too much data" in answer.content.decode()
