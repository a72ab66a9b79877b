"""Forms of staff's pages of partner feeds."""

from __future__ import annotations

from typing import Any

from django import forms

_NO_FILE = {"required": "Choose a file.", "empty": "The file is empty. Choose another one."}


class UploadForm(forms.Form):
    """A partner's file."""

    file = forms.FileField(label="File", error_messages=_NO_FILE)

    def __init__(self, *args: Any, most_bytes: int, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.most_bytes = most_bytes
        self.fields["file"].help_text = f"At most {most_bytes // 1024**2:,} MB, packed or not."

    def clean_file(self) -> Any:
        """Refuse a file that is larger than the partner's may be."""
        file = self.cleaned_data["file"]
        if file.size > self.most_bytes:
            raise forms.ValidationError(
                f"The file has more than {self.most_bytes // 1024**2:,} MB, which is the limit."
            )
        return file


class ReasonForm(forms.Form):
    """Why a held file is applied anyway, or discarded."""

    reason = forms.CharField(
        label="Reason",
        max_length=300,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text="It is kept with the file, such as: “Season's prices, confirmed by phone.”",
        error_messages={"required": "Say why."},
    )
