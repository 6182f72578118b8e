"""Members of a project, invitations, and the page that a link opens."""

from django.conf import settings as house
from django.contrib import messages
from django.contrib.auth import login
from django.db.models import Count, Max, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from annotation import policies
from annotation.manage.forms import InviteForm, JoinForm, MemberForm
from annotation.manage.guard import managing
from annotation.manage.projects import page
from annotation.models import Invite, Judgment, Membership, Project
from annotation.services import people
from annotation.services.people import LANGUAGE_SKILL
from config.errors import Conflict, DomainError


@require_GET
@managing
def members(request: HttpRequest, project: Project) -> HttpResponse:
    """Who is here, what they did, and the links that let others in."""
    form = InviteForm(roles=policies.roles_to_give(project=project, by=request.user))
    return _people(request, project, form)


def _people(
    request: HttpRequest, project: Project, form, *, link: str = "", status: int = 200
) -> HttpResponse:
    context = {
        "rows": member_rows(project, by=request.user),
        "form": form,
        "invites": Invite.objects.filter(project=project)
        .select_related("created_by")
        .order_by("-created_at")[:50],
        "now": timezone.now(),
        "link": link,
    }
    return page(request, project, "people", context, status=status)


def member_rows(project: Project, *, by) -> list[dict]:
    """Each membership with what its person did here, in a fixed number of queries."""
    today = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
    did = {
        row["annotator"]: row
        for row in Judgment.objects.filter(project=project, withdrawn_at=None)
        .exclude(assignment=None)
        .order_by()
        .values("annotator")
        .annotate(
            total=Count("id"),
            today=Count("id", filter=Q(created_at__gte=today)),
            last=Max("created_at"),
        )
    }
    changeable = set(
        Membership.objects.filter(policies.members_below(project=project, by=by)).values_list(
            "pk", flat=True
        )
    )
    rows = []
    for member in (
        Membership.objects.filter(project=project).select_related("user").order_by("user__username")
    ):
        own = did.get(member.user_id, {})
        seen = [at for at in (own.get("last"), member.user.last_login) if at]
        languages, skills = split_skills(member.skills)
        rows.append(
            {
                "member": member,
                "languages": languages,
                "skills": skills,
                "today": own.get("today", 0),
                "total": own.get("total", 0),
                "seen": max(seen, default=None),
                "may_change": member.pk in changeable,
            }
        )
    return rows


def split_skills(skills: list[str]) -> tuple[list[str], list[str]]:
    """Languages (their codes) and the other skills."""
    spoken = [s.removeprefix(LANGUAGE_SKILL) for s in skills if s.startswith(LANGUAGE_SKILL)]
    return spoken, [s for s in skills if not s.startswith(LANGUAGE_SKILL)]


@require_http_methods(["GET", "POST"])
@managing
def member(request: HttpRequest, project: Project, member_id: int) -> HttpResponse:
    """One person's place: role, languages, skills; pause, resume, remove."""
    row = get_object_or_404(
        Membership.objects.select_related("user", "project"), project=project, pk=member_id
    )
    roles = policies.roles_to_give(project=project, by=request.user)
    if row.role not in roles:
        roles = [*roles, row.role]
    languages, skills = split_skills(row.skills)
    initial = {"role": row.role, "languages": languages, "skills": skills}
    do = request.POST.get("do")
    form = MemberForm(request.POST if do == "save" else None, roles=roles, initial=initial)
    try:
        if do in ("pause", "resume"):
            people.change_member(membership=row, by=request.user, paused=do == "pause")
        elif do == "remove":
            people.remove_member(membership=row, by=request.user)
            said = _("%(name)s is out of the project. Their judgments stay.")
            messages.success(request, said % {"name": row.user})
        elif do == "save" and form.is_valid():
            given = form.cleaned_data
            spoken = [f"{LANGUAGE_SKILL}{code}" for code in given["languages"]]
            people.change_member(
                membership=row, by=request.user, role=given["role"], skills=spoken + given["skills"]
            )
            messages.success(request, _("Saved."))
    except DomainError as error:
        form = form if form.is_bound else MemberForm(None, roles=roles, initial=initial)
        if form.is_bound:
            form.refuse(error)
        else:
            messages.error(request, error.detail)
    if request.method == "POST" and not (form.is_bound and not form.is_valid()):
        return redirect("manage-people", slug=project.slug)
    below = policies.members_below(project=project, by=request.user)
    context = {
        "row": row,
        "form": form,
        "may_change": Membership.objects.filter(below, pk=row.pk).exists(),
        "tab": "people",
    }
    return page(request, project, "member", context, status=400 if form.is_bound else 200)


@require_POST
@managing
def invite(request: HttpRequest, project: Project) -> HttpResponse:
    """Make a link. It is in this answer and nowhere else: only its hash is kept."""
    roles = policies.roles_to_give(project=project, by=request.user)
    form = InviteForm(request.POST, roles=roles)
    if form.is_valid():
        try:
            _made, secret = people.invite(project=project, by=request.user, **form.cleaned_data)
        except DomainError as error:
            form.refuse(error)
        else:
            link = request.build_absolute_uri(reverse("join", args=[secret]))
            return _people(request, project, InviteForm(roles=roles), link=link, status=201)
    return _people(request, project, form, status=400)


@require_POST
@managing
def revoke(request: HttpRequest, project: Project, invite_id: int) -> HttpResponse:
    """Make a link useless."""
    row = get_object_or_404(Invite.objects.select_related("project"), project=project, pk=invite_id)
    people.revoke_invite(invite=row, by=request.user)
    messages.success(request, _("The link no longer works."))
    return redirect("manage-people", slug=project.slug)


# By a link ----------------------------------------------------------------------------------


@sensitive_post_parameters("password", "again")
@require_http_methods(["GET", "POST"])
@never_cache
def join(request: HttpRequest, secret: str) -> HttpResponse:
    """Accept an invitation: who is signed in joins, a newcomer makes an account here."""
    found = people.find_invite(secret)
    if found is None:
        return render(request, "annotation/manage/join_gone.html", status=410)
    form = JoinForm(None)
    if request.method == "POST":
        try:
            if request.user.is_authenticated:
                people.accept(secret=secret, by=request.user)
                return redirect("annotate")
            form = JoinForm(request.POST)
            if form.is_valid():
                user = people.join(
                    secret=secret,
                    username=form.cleaned_data["username"],
                    password=form.cleaned_data["password"],
                )
                login(request, user, backend=house.AUTHENTICATION_BACKENDS[0])
                return redirect("annotate")
        except Conflict:
            return render(request, "annotation/manage/join_gone.html", status=410)
        except DomainError as error:
            form.refuse(error)
    context = {"invite": found, "project": found.project, "form": form, "path": request.path}
    return render(
        request, "annotation/manage/join.html", context, status=400 if form.is_bound else 200
    )
