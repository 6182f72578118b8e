"""Forms of the administration pages: text in, typed values out, the reason beside the field.

What a value may be is decided by the services; here only its spelling in a form is read.
"""

from collections.abc import Iterable
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from annotation.models import Project
from annotation.models.projects import Kind, Order
from config.errors import DomainError
from config.models import SCOPES, Role


class Form(forms.Form):
    """A form in the clothes of the house; `refuse` puts a service's reasons beside its fields."""

    #: Names of services' fields that are called otherwise here.
    names: dict[str, str] = {}

    def __init__(self, *args, **kwargs):
        kwargs.setdefault("label_suffix", "")
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            widget = field.widget
            if isinstance(widget, forms.CheckboxInput | forms.CheckboxSelectMultiple):
                continue
            if not isinstance(widget, forms.RadioSelect):
                widget.attrs["class"] = f"input {widget.attrs.get('class', '')}".strip()

    def refuse(self, error: DomainError) -> None:
        """Show a refusal: each reason at its field, the rest above the form."""
        placed = False
        for name, reason in error.fields.items():
            name = self.names.get(name, name)
            if name in self.fields:
                self.add_error(name, f"{reason[:1].upper()}{reason[1:]}.".replace("..", "."))
                placed = True
        if not placed:
            self.add_error(None, error.detail)


class Words(forms.CharField):
    """A list, one entry a line (or separated by commas)."""

    widget = forms.Textarea

    def __init__(self, *, rows: int = 4, **kwargs):
        super().__init__(required=False, **kwargs)
        self.widget.attrs |= {"rows": rows, "dir": "auto"}

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(value) if isinstance(value, list | tuple) else value

    def to_python(self, value: Any) -> list[str]:
        lines = (super().to_python(value) or "").replace("\r", "\n").replace(",", "\n")
        return [word.strip() for word in lines.split("\n") if word.strip()]


class Percent(forms.FloatField):
    """A share, written in percent."""

    def __init__(self, *, most: int, **kwargs):
        super().__init__(
            widget=forms.NumberInput(attrs={"min": 0, "max": most, "step": "any"}), **kwargs
        )

    def prepare_value(self, value: Any) -> Any:
        return f"{value * 100:g}" if isinstance(value, float) else value

    def to_python(self, value: Any) -> float | None:
        value = super().to_python(value)
        return None if value is None else value / 100


class Minutes(forms.FloatField):
    """A number of seconds, written in minutes."""

    def __init__(self, **kwargs):
        super().__init__(widget=forms.NumberInput(attrs={"min": 0, "step": "any"}), **kwargs)

    def prepare_value(self, value: Any) -> Any:
        return f"{value / 60:g}" if isinstance(value, int) else value

    def to_python(self, value: Any) -> int | None:
        value = super().to_python(value)
        return None if value is None else round(value * 60)


def _number(**attrs) -> forms.NumberInput:
    return forms.NumberInput(attrs=attrs)


class NewProject(Form):
    """Name, address and kinds: the rest comes from the template."""

    name = forms.CharField(label=_("Name"), max_length=120)
    slug = forms.CharField(
        label=_("Address"),
        max_length=60,
        required=False,
        help_text=_("a-z, 0-9 and -. Scripts call the project by it; it stays as it is."),
        widget=forms.TextInput(attrs={"autocapitalize": "none", "spellcheck": "false"}),
    )
    kinds = forms.MultipleChoiceField(
        label=_("What is asked"), choices=Kind.choices, widget=forms.CheckboxSelectMultiple
    )
    overlap = forms.IntegerField(
        label=_("People a task"), initial=1, min_value=1, max_value=100, widget=_number()
    )


class Settings(Form):
    """All settings of a project, in the groups of the page."""

    name = forms.CharField(label=_("Name"), max_length=120)
    guidelines = forms.CharField(
        label=_("Guidelines"),
        required=False,
        strip=False,
        help_text=_("Markdown. Shown beside every task."),
        widget=forms.Textarea(attrs={"rows": 18, "dir": "auto", "data-guidelines": ""}),
    )
    kinds = forms.MultipleChoiceField(
        label=_("What is asked"), choices=Kind.choices, widget=forms.CheckboxSelectMultiple
    )
    overlap = forms.IntegerField(
        label=_("People a task"),
        min_value=1,
        max_value=100,
        help_text=_("How many people judge each task, unless the task says otherwise."),
    )
    apply_to_open = forms.BooleanField(
        label=_("Apply to open tasks too"),
        required=False,
        help_text=_("Otherwise tasks keep theirs. Nobody who holds or judged a task loses it."),
    )
    order = forms.ChoiceField(
        label=_("Which task comes next"),
        choices=Order.choices,
        help_text=_("Among tasks of equal priority."),
    )
    lease_seconds = Minutes(
        label=_("Lease, minutes"),
        help_text=_("A task left alone for so long may go to someone else."),
    )
    undo_seconds = Minutes(
        label=_("Undo, minutes"), help_text=_("How long one's last judgment can be taken back.")
    )
    gold_rate = Percent(
        label=_("Gold, %"), most=50, help_text=_("How often a task has a known answer, unseen.")
    )
    repeat_rate = Percent(
        label=_("Repeats, %"),
        most=50,
        help_text=_("How often someone is asked the same again, later."),
    )
    calibration_size = forms.IntegerField(
        label=_("Calibration tasks"),
        min_value=0,
        max_value=100,
        help_text=_("Explained tasks a newcomer judges first; 0 for none."),
    )
    calibration_pass = Percent(
        label=_("Passed at, %"), most=100, help_text=_("Share of calibration tasks to get right.")
    )
    languages = Words(
        label=_("Languages"), rows=2, help_text=_("Codes such as en, ar or pt-br. None: any.")
    )
    dimensions = Words(label=_("Dimensions of a pair"), help_text=_("Asked of each pair besides."))
    attributes = Words(label=_("Attributes to rate"), help_text=_("One a line, each from 0 to 4."))
    categories = Words(label=_("Faults to mark"), help_text=_("One a line."))
    missing_categories = Words(label=_("What may be missing"), help_text=_("One a line."))

    @staticmethod
    def initial_of(project: Project) -> dict[str, Any]:
        return {name: getattr(project, name) for name in Settings.base_fields if name != ONCE}


ONCE = "apply_to_open"


class PrincipleForm(Form):
    key = forms.CharField(
        label=_("Key"),
        max_length=60,
        widget=forms.TextInput(attrs={"autocapitalize": "none", "spellcheck": "false"}),
    )
    text = forms.CharField(
        label=_("Question, to be answered yes or no"),
        max_length=500,
        widget=forms.Textarea(attrs={"rows": 2, "dir": "auto"}),
    )


class CloneForm(Form):
    name = forms.CharField(label=_("Name"), max_length=120)
    slug = forms.CharField(
        label=_("Address"),
        max_length=60,
        help_text=_("a-z, 0-9 and -."),
        widget=forms.TextInput(attrs={"autocapitalize": "none", "spellcheck": "false"}),
    )
    with_tasks = forms.BooleanField(
        label=_("Copy the tasks too"),
        required=False,
        help_text=_("Without their judgments."),
    )


ROLE_NAMES = {
    "annotator": _("Annotator: judges"),
    "reviewer": _("Reviewer: judges, reviews"),
    "researcher": _("Researcher: runs this project"),
}


class InviteForm(Form):
    role = forms.ChoiceField(label=_("As"))
    uses = forms.IntegerField(
        label=_("For how many people"), initial=1, min_value=1, max_value=1000
    )
    days = forms.IntegerField(label=_("Good for, days"), initial=7, min_value=1, max_value=90)
    skills = Words(label=_("Skills"), rows=2, help_text=_("Such as medicine, lang:ar."))
    note = forms.CharField(label=_("Note to yourself"), required=False, max_length=120)

    def __init__(self, *args, roles: Iterable[str], **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["role"].choices = [(role, ROLE_NAMES[role]) for role in roles]


class MemberForm(Form):
    role = forms.ChoiceField(label=_("Role"))
    languages = Words(label=_("Languages"), rows=2, help_text=_("Codes such as en, ar or pt-br."))
    skills = Words(label=_("Skills"), rows=2, help_text=_("One a line, such as medicine."))

    def __init__(self, *args, roles: Iterable[str], **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["role"].choices = [(role, ROLE_NAMES.get(role, role)) for role in roles]


class JoinForm(Form):
    """An account for who comes by a link."""

    username = forms.CharField(
        label=_("Name"),
        max_length=150,
        help_text=_("You sign in with it. Letters, digits and . @ + - _"),
        widget=forms.TextInput(
            attrs={"autocomplete": "username", "autocapitalize": "none", "spellcheck": "false"}
        ),
    )
    password = forms.CharField(
        label=_("Password"),
        strip=False,
        max_length=500,
        help_text=_("At least eight characters, and hard to guess."),
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )
    again = forms.CharField(
        label=_("Password again"),
        strip=False,
        max_length=500,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )

    def clean(self) -> dict[str, Any]:
        given = super().clean()
        if given.get("password") and given.get("again") and given["password"] != given["again"]:
            self.add_error("again", _("The two are not the same."))
        return given


class KeyForm(Form):
    name = forms.CharField(label=_("What it is for"), required=False, max_length=80)
    scopes = forms.MultipleChoiceField(label=_("May do"), widget=forms.CheckboxSelectMultiple)

    def __init__(self, *args, scopes: Iterable[str], **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["scopes"].choices = [
            (scope, SCOPE_NAMES.get(scope, scope)) for scope in SCOPES if scope in set(scopes)
        ]


SCOPE_NAMES = {
    "annotate": _("Annotate: claim and judge"),
    "react": _("React: judge answers, also from pages of other sites"),
    "feedback": _("Feedback: chat and react"),
    "review": _("Review"),
    "research": _("Research: projects, data, runs"),
    "admin": _("Administer"),
}


class AccountForm(Form):
    role = forms.ChoiceField(label=_("Role"), choices=Role.choices)


class EraseForm(Form):
    """What becomes of the judgments, and the name once more, since nothing brings it back."""

    judgments = forms.ChoiceField(
        label=_("Their judgments"),
        widget=forms.RadioSelect,
        choices=[
            ("keep", _("stay, without names and without a word of free text")),
            ("withdraw", _("are deleted, and the places they filled are free again")),
        ],
        initial="keep",
    )
    confirm = forms.CharField(
        label=_("Type their name to confirm"),
        max_length=150,
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )

    def __init__(self, *args, name: str, **kwargs):
        super().__init__(*args, **kwargs)
        self.name = name

    def clean_confirm(self) -> str:
        if self.cleaned_data["confirm"] != self.name:
            raise forms.ValidationError(_("This is not their name."))
        return self.name
