"""The quality of a project for its reviewers, tables as CSV, and one's own for everyone."""

import csv
import io

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_GET, require_POST

from annotation import charts
from annotation.manage.guard import signed_in
from annotation.models import Membership, Project
from annotation.prompts import prompt_text
from annotation.reviewing.guard import reviewing
from annotation.reviewing.told import told
from annotation.services import calibration, parts, quality, review
from config.errors import DomainError

COUPLES_SHOWN = 20
PEOPLE_SHOWN = 100


@require_GET
@reviewing
def project_page(request: HttpRequest, project: Project) -> HttpResponse:
    """Agreement by kind, habits and reliability by annotator, with charts."""
    now = quality.current(project)
    context = {"project": project, "state": now.state, "report": now.report}
    if now.report is not None:
        context |= {
            "headlines": [_headline(kind) for kind in now.report["kinds"]],
            "kinds": [_kind(kind) for kind in now.report["kinds"]],
            "charts": [c for c in _people_charts(now.report["people"]) if c],
            "people": now.report["people"][:PEOPLE_SHOWN],
            "more_people": max(0, len(now.report["people"]) - PEOPLE_SHOWN),
            "members": _members(project),
            "remarks": REMARKS,
        }
    return render(request, "annotation/quality/project.html", context)


def _headline(kind: dict) -> dict:
    first = kind["aspects"][0]
    wanted = next(
        (m for m in first["measures"] if "alpha" in m["name"] or m["name"] == "kendall-tau"),
        first["measures"][0],
    )
    return {"kind": kind["kind"], "aspect": first["name"], **wanted}


def _kind(kind: dict) -> dict:
    aspects = []
    for aspect in kind["aspects"]:
        rows = [(m["says"], m) for m in aspect["measures"]]
        title = kind["kind"] if len(kind["aspects"]) == 1 else f"{kind['kind']}: {aspect['name']}"
        aspects.append(
            aspect
            | {
                "chart": charts.chart(title, rows),
                "couples": aspect["couples"][:COUPLES_SHOWN],
                "more": max(0, len(aspect["couples"]) - COUPLES_SHOWN),
            }
        )
    return {"kind": kind["kind"], "aspects": aspects}


def _people_charts(people: list[dict]) -> list:
    def rows(name):
        return [(p["pseudonym"], p[name]) for p in people]

    return [
        charts.chart(_("Agreement with the others"), rows("agreement")),
        charts.chart(_("Weight of their word"), rows("weight"),
                     note=_("0 is no better than chance, 1 always right by the model")),
        charts.chart(_("Gold answers met"), rows("gold")),
        charts.chart(_("Same answer when asked again"), rows("repeats")),
        charts.chart(_("The answer shown first preferred"), rows("position"),
                     note=_("sides are drawn by lot: half is fair")),
        charts.chart(_("The longer answer preferred"), rows("length"),
                     note=_("the line is what the others do")),
        charts.log_chart(_("Seconds a judgment, median"), rows("seconds")),
    ]  # fmt: skip


def _members(project: Project) -> dict[str, Membership]:
    rows = Membership.objects.filter(project=project, role="annotator").select_related("user")
    return {row.user.pseudonym: row for row in rows}


#: Remarks of a report, in words.
REMARKS = {
    "first side": gettext_lazy("prefers the answer shown first"),
    "second side": gettext_lazy("prefers the answer shown second"),
    "longer answers": gettext_lazy("prefers longer answers more than others do"),
    "shorter answers": gettext_lazy("prefers shorter answers more than others do"),
    "fast": gettext_lazy("much faster than the others"),
    "slow": gettext_lazy("much slower than the others"),
    "gold missed": gettext_lazy("misses known answers"),
    "answers change": gettext_lazy("answers differently when asked again"),
}


@require_GET
@reviewing
def table(request: HttpRequest, project: Project, name: str) -> HttpResponse:
    """One of the report's tables as CSV."""
    if name not in TABLES:
        raise Http404
    report = quality.current(project).report
    columns, rows = TABLES[name](report) if report else ([], [])
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_cell(value) for value in row] for row in rows)
    disposition = f'attachment; filename="{project.slug}-{name}.csv"'
    return HttpResponse(
        file.getvalue(),
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": disposition},
    )


def _cell(value: object) -> object:
    """Text that a spreadsheet would run as a formula is quoted: pseudonyms can be imported."""
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return f"'{value}"
    return value


def _measures(report: dict):
    columns = ["kind", "question", "measure", "value", "low", "high", "units", "pairs"]
    rows = [
        [kind["kind"], aspect["name"], m["name"]]
        + [m[name] for name in ("value", "low", "high", "units", "pairs")]
        for kind in report["kinds"]
        for aspect in kind["aspects"]
        for m in aspect["measures"]
    ]
    return columns, rows


def _people(report: dict):
    groups = ("agreement", "weight", "gold", "repeats", "position", "length", "seconds")
    columns = ["annotator", "judgments"]
    for group in groups:
        columns += [group, f"{group}_low", f"{group}_high", f"{group}_n"]
    rows = []
    for person in report["people"]:
        row = [person["pseudonym"], person["judgments"]]
        for group in groups:
            found = person[group] or {}
            row += [found.get("value"), found.get("low"), found.get("high")]
            row.append(found.get("n", found.get("units")))
        rows.append(row)
    return columns, rows


def _couples(report: dict):
    columns = ["kind", "question", "first", "second", "kappa", "low", "high", "shared"]
    rows = [
        [kind["kind"], aspect["name"], c["first"], c["second"]]
        + [c[name] for name in ("value", "low", "high", "units")]
        for kind in report["kinds"]
        for aspect in kind["aspects"]
        for c in aspect["couples"]
    ]
    return columns, rows


TABLES = {"measures": _measures, "people": _people, "couples": _couples}


@require_POST
@reviewing
def person(request: HttpRequest, project: Project) -> HttpResponse:
    """Pause or resume an annotator, let a newcomer in, or write to someone, by pseudonym."""
    form = request.POST
    rows = Membership.objects.filter(project=project).select_related("user", "project")
    found = rows.filter(user__pseudonym=form.get("person", "")[:40].replace("\x00", "")).first()
    if found is None:
        raise Http404
    try:
        match form.get("do"):
            case "pause" | "resume":
                paused = form["do"] == "pause"
                review.pause(membership=found, by=request.user, paused=paused)
                said = _("Paused. What they sent stays.") if paused else _("May work again.")
            case "let-in":
                calibration.let_in(membership=found)
                said = _("Let in without the exercise.")
            case "note":
                review.write_note(
                    project=project, to=found.user, by=request.user, text=form.get("text")
                )
                said = _("Sent.")
            case _:
                raise Http404
    except DomainError as error:
        messages.warning(request, error.detail)
    else:
        messages.success(request, said)
    return redirect("review-quality", project.slug)


# One's own ----------------------------------------------------------------------------------


@signed_in
def own_page(request: HttpRequest) -> HttpResponse:
    """Notes from reviewers, the exercise, and one's own numbers in each project."""
    if request.method == "POST":
        return _own_step(request)
    rows = Membership.objects.filter(user=request.user, project__archived_at=None)
    rows = rows.select_related("project", "user").order_by("project__name")
    notes = [
        {"note": note, "asked": prompt_text(note.judgment.task.prompt)[:160]}
        if note.judgment
        else {"note": note, "asked": ""}
        for note in review.read_notes(request.user)
    ]
    context = {"notes": notes, "projects": [_own_project(row) for row in rows]}
    return render(request, "annotation/quality/own.html", context)


def _own_project(membership: Membership) -> dict:
    project = membership.project
    now = quality.current(project)
    found = {
        "project": project,
        "row": quality.own(now.report, membership.user),
        "state": now.state,
        "exercise": None,
        "explained": [],
    }
    if project.calibration_size and membership.role == "annotator":
        if calibration.settle(membership):
            membership.refresh_from_db(fields=["calibrated_at"])
        found["exercise"] = calibration.progress(membership)
        found["explained"] = [
            _explained(one)
            for one in calibration.explained(user=membership.user, project=project)[:20]
        ]
    return found


def _explained(one: calibration.Explained) -> dict:
    return {
        "explained": one,
        "asked": prompt_text(one.judgment.task.prompt)[:300],
        "answers": [(letter, text) for letter, text in told(one.judgment.task).texts()],
        "said": told(one.judgment.task).lines(parts.answer_of(one.judgment)),
        "known": told(one.judgment.task).gold_lines(),
    }


def _own_step(request: HttpRequest) -> HttpResponse:
    slug = request.POST.get("project", "")
    rows = Membership.objects.filter(user=request.user, project__slug=slug[:60])
    found = rows.select_related("user", "project").first() if "\x00" not in slug else None
    if found is None or request.POST.get("do") != "again":
        raise Http404
    try:
        calibration.again(membership=found)
    except DomainError as error:
        messages.warning(request, error.detail)
        return redirect("annotate-me")
    return redirect("annotate-work", found.project.slug)
