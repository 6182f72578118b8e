"""Accounts and keys: an administrator's list, and one's own page."""

from django.contrib import messages
from django.contrib.auth import update_session_auth_hash
from django.contrib.auth.forms import PasswordChangeForm
from django.core.exceptions import PermissionDenied
from django.db.models import Count, F, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from annotation.formats.lines import unstorable
from annotation.manage.forms import AccountForm, EraseForm, KeyForm
from annotation.manage.guard import signed_in
from annotation.services import people
from config import accounts, erasure
from config.auth import role_required
from config.errors import DomainError
from config.models import AccessKey, Role, User

PAGE = 50


class _Words(dict):
    """What an erasure touches, in words; an app's own name for what has none here."""

    def __missing__(self, name: str) -> str:
        return name


ERASED = _Words(
    {
        "judgments": gettext_lazy("judgments"),
        "texts": gettext_lazy("judgments with words of their own"),
        "drafts": gettext_lazy("drafts"),
        "notes": gettext_lazy("notes received or written"),
        "memberships": gettext_lazy("places in projects"),
        "conversations": gettext_lazy("conversations"),
        "messages": gettext_lazy("messages in them"),
        "signals": gettext_lazy("reactions and other signals"),
        "tasks of own questions": gettext_lazy("tasks made of their questions"),
        "snapshots": gettext_lazy("snapshots that hold their data (marked)"),
        "models": gettext_lazy("models trained on those (listed)"),
    }
)


@require_GET
@role_required("admin")
@never_cache
def listing(request: HttpRequest) -> HttpResponse:
    """Everyone who can sign in, by name; imported annotators are left out."""
    words = request.GET.get("q", "").strip()[:150]
    after = request.GET.get("after", "")[:150]
    found = User.objects.exclude(username__startswith="imported-")
    if words and not unstorable(words):
        found = found.filter(username__icontains=words)
    if after and not unstorable(after):
        found = found.filter(username__gt=after)
    rows = list(
        found.annotate(
            keys=Count("access_keys", filter=Q(access_keys__revoked_at=None), distinct=True),
            places=Count("memberships", distinct=True),
        ).order_by("username")[: PAGE + 1]
    )
    context = {
        "rows": rows[:PAGE],
        "next": rows[PAGE - 1].username if len(rows) > PAGE else None,
        "q": words,
    }
    return render(request, "annotation/manage/accounts.html", context)


@require_http_methods(["GET", "POST"])
@role_required("admin")
@never_cache
def account(request: HttpRequest, user_id: int) -> HttpResponse:
    """One account: role, in or out, keys."""
    person = get_object_or_404(User, pk=user_id)
    form = AccountForm(None, initial={"role": person.role})
    if request.method == "POST":
        do = request.POST.get("do")
        try:
            if do == "deactivate":
                accounts.change_account(user=person, by=request.user, active=False)
                people.give_back_leases(person=person)
                messages.success(request, _("Out. Sessions and keys ended; judgments stay."))
            elif do == "activate":
                accounts.change_account(user=person, by=request.user, active=True)
                messages.success(request, _("In again."))
            else:
                form = AccountForm(request.POST)
                if form.is_valid():
                    role = form.cleaned_data["role"]
                    accounts.change_account(user=person, by=request.user, role=role)
                    messages.success(request, _("Saved."))
        except DomainError as error:
            messages.error(request, error.detail)
        if not form.is_bound or form.is_valid():
            return redirect("manage-account", user_id=person.pk)
    return _account_page(request, person, form=form, status=400 if form.is_bound else 200)


@require_http_methods(["GET", "POST"])
@role_required("admin")
@never_cache
def erase(request: HttpRequest, user_id: int) -> HttpResponse:
    """What there is of a person, and the form that takes it all out for good."""
    person = get_object_or_404(User, pk=user_id)
    form = EraseForm(request.POST or None, name=person.get_username())
    if request.method == "POST" and form.is_valid():
        try:
            erasure.erase_person(
                person=person, judgments=form.cleaned_data["judgments"], by=request.user
            )
        except DomainError as error:
            form.refuse(error)
        else:
            messages.success(request, _("Erased. Nothing here names this person any more."))
            return redirect("manage-accounts")
    context = {
        "person": person,
        "form": form,
        "found": [(ERASED[name], n) for name, n in erasure.would(person=person).items() if n],
        "is_erased": erasure.is_erased(person),
    }
    status = 400 if form.is_bound else 200
    return render(request, "annotation/manage/erase.html", context, status=status)


@require_POST
@signed_in
def make_key(request: HttpRequest, user_id: int) -> HttpResponse:
    """A key for oneself, or an admin's for anyone. Its secret is in this answer only."""
    person = _person(request, user_id)
    key_form = KeyForm(request.POST, scopes=person.scopes)
    secret, status = "", 400
    if key_form.is_valid():
        try:
            _key, secret = accounts.create_key(
                user=person, by=request.user, **key_form.cleaned_data
            )
        except DomainError as error:
            key_form.refuse(error)
        else:
            key_form, status = KeyForm(None, scopes=person.scopes), 201
    return _account_page(request, person, key_form=key_form, secret=secret, status=status)


@require_POST
@signed_in
def revoke_key(request: HttpRequest, user_id: int, key_id: int) -> HttpResponse:
    """Make a key useless from now on."""
    person = _person(request, user_id)
    key = get_object_or_404(AccessKey.objects.select_related("user"), user=person, pk=key_id)
    accounts.revoke_key(key=key, by=request.user)
    messages.success(request, _("The key no longer works."))
    return redirect("account") if person == request.user else redirect("manage-account", person.pk)


@sensitive_post_parameters()
@require_http_methods(["GET", "POST"])
@signed_in
def own(request: HttpRequest) -> HttpResponse:
    """One's own account: keys and password."""
    form = _password_form(request.user, request.POST or None)
    if request.method == "POST" and form.is_valid():
        update_session_auth_hash(request, form.save())
        messages.success(request, _("The password is changed."))
        return redirect("account")
    status = 400 if form.is_bound else 200
    return _account_page(request, request.user, password_form=form, status=status)


def _person(request: HttpRequest, user_id: int) -> User:
    if user_id != request.user.pk and not request.user.has_role(Role.ADMIN):
        raise PermissionDenied("Only an administrator may do this for someone else.")
    return get_object_or_404(User, pk=user_id)


def _password_form(person: User, data=None) -> PasswordChangeForm:
    form = PasswordChangeForm(person, data)
    for field in form.fields.values():
        field.widget.attrs["class"] = "input"
        field.widget.attrs.pop("autofocus", None)  # the page is about more than the password
    form.fields["new_password1"].help_text = _("At least eight characters, and hard to guess.")
    form.fields["new_password2"].help_text = ""
    form.label_suffix = ""
    return form


def _account_page(
    request: HttpRequest,
    person: User,
    *,
    form=None,
    key_form=None,
    password_form=None,
    secret: str = "",
    status: int = 200,
) -> HttpResponse:
    is_own = person == request.user
    if is_own and password_form is None:
        password_form = _password_form(person)
    context = {
        "person": person,
        "is_own": is_own,
        "form": form or AccountForm(None, initial={"role": person.role}),
        "key_form": key_form or KeyForm(None, scopes=person.scopes),
        "password_form": password_form if is_own else None,
        "keys": AccessKey.objects.filter(user=person).order_by(
            F("revoked_at").desc(nulls_first=True), "-created_at"
        )[:100],
        "places": person.memberships.select_related("project").order_by("project__slug"),
        "may_administer": request.user.has_role(Role.ADMIN),
        "secret": secret,
    }
    return render(request, "annotation/manage/account.html", context, status=status)
