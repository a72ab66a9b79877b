"""Forms that do not undo what somebody else has changed since they were shown.

A form sends along the values that it was shown with (Django's hidden initial values). Only fields
that its user has changed are written. If somebody else has changed the same field, the form is
refused and shows both values; saved again, the user's replaces the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.core.exceptions import ValidationError
from django.forms.boundfield import BoundField

if TYPE_CHECKING:
    from collections.abc import Iterator


def _comparable(value: Any) -> Any:
    """Return a value as browsers send it: with one kind of line break."""
    return value.replace("\r\n", "\n").strip() if isinstance(value, str) else value


class _Field(BoundField):
    """A field that is shown again with the row's value if somebody else has changed it."""

    form: MergingForm

    def value(self) -> Any:
        """Return the user's value, or the row's if the user has left the field alone."""
        if self.name in self.form.kept:
            return self.field.prepare_value(self.initial)
        return super().value()

    def as_widget(self, widget: Any = None, attrs: Any = None, only_initial: bool = False) -> Any:
        """Render the field; its hidden initial value is the row's once a change was shown."""
        if only_initial and self.name in self.form.kept | self.form.conflicts:
            hidden = widget or self.field.hidden_widget()
            value = self.field.prepare_value(self.initial)
            return hidden.render(self.html_initial_name, value, attrs, self.form.renderer)
        return super().as_widget(widget, attrs, only_initial)


class MergingForm(forms.ModelForm):  # type: ignore[type-arg]
    """A model form that merges its user's changes into the row as it is now.

    The view must lock the row before it reads it, in the transaction that saves the form.
    """

    bound_field_class = _Field

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.kept: set[str] = set()  # changed by somebody else only
        self.conflicts: set[str] = set()  # changed by both
        new = self.instance._state.adding  # noqa: SLF001 - documented API
        self._merges = self.is_bound and not new and self._tells_what_it_showed()
        if self._merges or not self.is_bound:
            for name in self._stored():
                self.fields[name].show_hidden_initial = True

    def _stored(self) -> Iterator[str]:
        """Yield the names of fields that the form edits in the row."""
        for field in (*self.instance._meta.fields, *self.instance._meta.many_to_many):  # noqa: SLF001 - documented API
            form_field = self.fields.get(field.name)
            if form_field and not form_field.disabled and not form_field.widget.is_hidden:
                yield field.name

    def _tells_what_it_showed(self) -> bool:
        """Whether the data has initial values; a script's, or an old page's, has none."""
        return any(name.startswith(self.add_initial_prefix("")) for name in self.data)

    def clean(self) -> dict[str, Any]:
        """Keep what its user has not changed; refuse what somebody else has changed too."""
        for name in list(self._stored()) if self._merges else ():
            overtaken = self._changed_by_others(name)
            if name not in self.changed_data:
                self._keep(name, overtaken=overtaken)
            elif overtaken and name not in self.errors and self._differs(name):
                self.conflicts.add(name)
                self.add_error(name, self._conflict(name))
        return super().clean() or self.cleaned_data

    def _changed_by_others(self, name: str) -> bool:
        bound, field = self[name], self.fields[name]
        shown = field.hidden_widget().value_from_datadict(
            self.data, self.files, bound.html_initial_name
        )
        now = bound.initial
        if isinstance(now, str):
            return bool(_comparable(now) != _comparable(shown))
        return field.has_changed(now, shown)

    def _differs(self, name: str) -> bool:
        return self.fields[name].has_changed(self[name].initial, self[name].data)

    def _keep(self, name: str, *, overtaken: bool) -> None:
        """Use the row's value, exactly: a browser returns other line breaks and no microseconds."""
        if overtaken:
            self.kept.add(name)
            self.errors.pop(name, None)  # the value is not the user's
        field = self.instance._meta.get_field(name)  # noqa: SLF001 - documented API
        if field.many_to_many:
            self.cleaned_data.pop(name, None)  # not saved
        elif overtaken or (name in self.cleaned_data and not field.is_relation):
            self.cleaned_data[name] = getattr(self.instance, name)

    def _conflict(self, name: str) -> ValidationError:
        now = self[name].initial
        if isinstance(now, list):
            shown = ", ".join(str(row) for row in now)
        else:
            value = getattr(self.instance, f"get_{name}_display", None)
            shown = str(value() if value else getattr(self.instance, name))
        return ValidationError(
            "This was changed to “%(now)s” after you opened this page. Save again to replace it "
            "with your value.",
            code="stale",
            params={"now": shown if now not in (None, "") else "nothing"},
        )


def merging(form: type[Any]) -> type[Any]:
    """Return a model form class with the same fields that merges."""
    if issubclass(form, MergingForm) or not issubclass(form, forms.ModelForm):
        return form
    return type(form.__name__, (MergingForm, form), {"__module__": form.__module__})
