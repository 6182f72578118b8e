"""Pages of the side-by-side comparison: the two answers, the vote, the leaderboard."""

from uuid import UUID, uuid4

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_GET, require_http_methods

from annotation.models import Project
from config.errors import Busy, DomainError
from feedback.api.arena import write
from feedback.figures import whiskers
from feedback.models import Conversation
from feedback.people import Person, new_guest, person_of_request, remember
from feedback.services import arena, leaderboard

LISTED = 30


@ensure_csrf_cookie
@require_http_methods(["GET", "HEAD", "POST"])
def home(request: HttpRequest) -> HttpResponse:
    """A new comparison; without script, the form's first question comes here."""
    person = person_of_request(request) or new_guest()
    if request.method == "POST":
        begun = None
        try:
            if closed := arena.why_closed(settings.CHAT_PROJECT):
                return _page(request, person, None, error=closed, status=409)
            begun = arena.begin(person=person, consent="consent" in request.POST)
            return _asked(request, person, begun)
        except DomainError as exc:
            return _page(request, person, begun, error=exc.detail, status=_status(exc))
    return _page(request, person, None)


@ensure_csrf_cookie
@require_http_methods(["GET", "HEAD", "POST"])
def comparison(request: HttpRequest, conversation_id: UUID) -> HttpResponse:
    """One comparison of this person; nobody else learns that it exists."""
    person = person_of_request(request)
    own = person and person.conversations.filter(source=arena.SOURCE)
    found = own and own.filter(pk=conversation_id).first()
    if not found:
        raise Http404("There is no such comparison.")
    if request.method == "POST":
        try:
            if "outcome" in request.POST:
                _voted(request, person)
                return redirect("arena-comparison", conversation_id=found.pk)
            return _asked(request, person, found)
        except DomainError as exc:
            return _page(request, person, found, error=exc.detail, status=_status(exc))
    return _page(request, person, found)


@require_GET
def board(request: HttpRequest) -> HttpResponse:
    """The leaderboard with its intervals drawn."""
    slug = request.GET.get("project", settings.CHAT_PROJECT)
    try:
        project = leaderboard.project_for(slug=slug, user=request.user)
    except Project.DoesNotExist:
        raise Http404("There is no such project.") from None
    found = leaderboard.current(project_id=project.pk)
    fitted = found.board if found else None
    is_researcher = request.user.is_authenticated and request.user.has_role("researcher")
    context = {
        "project": project,
        "computed_at": found and found.computed_at,
        "board": fitted,
        "figure": whiskers(fitted["places"]) if fitted and fitted["places"] else None,
        "contenders": [one.model_version.name for one in arena.contenders(slug)],
        "closed": arena.why_closed(slug),
        "is_researcher": is_researcher,
    }
    return render(request, "feedback/arena_board.html", context)


def _asked(request: HttpRequest, person: Person, conversation: Conversation) -> HttpResponse:
    asked = arena.ask(
        person=person, conversation_id=conversation.pk, text=request.POST.get("text", "")
    )
    write(asked, wait=True)
    response = redirect("arena-comparison", conversation_id=conversation.pk)
    return _remembered(request, response, person)


def _voted(request: HttpRequest, person: Person) -> None:
    try:
        battle_id = UUID(request.POST.get("battle", ""))
    except ValueError:
        raise Http404("There is no such battle.") from None
    if not arena.battles_of(person).filter(pk=battle_id).exists():
        raise Http404("There is no such battle.")
    arena.vote(
        person=person,
        battle_id=battle_id,
        outcome=request.POST["outcome"],
        client_event=uuid4(),
    )


def _page(
    request: HttpRequest,
    person: Person,
    conversation: Conversation | None,
    *,
    error: str = "",
    status: int = 200,
) -> HttpResponse:
    battles = []
    if conversation is not None:
        battles = [arena.battle_json(one) for one in arena.battles_in(conversation)]
    slug = conversation.project.slug if conversation else settings.CHAT_PROJECT
    earlier = person.conversations.filter(source=arena.SOURCE).exclude(leaf=None)
    context = {
        "conversation": conversation,
        "battles": battles,
        "earlier": earlier[:LISTED],
        "closed": arena.why_closed(slug),
        "votes": leaderboard.votes_given(person),
        "max_chars": settings.CHAT_MAX_CHARS,
        "error": error,
        "typed": request.POST.get("text", "") if error else "",
    }
    response = render(request, "feedback/arena.html", context, status=status)
    return _remembered(request, response, person)


def _status(exc: DomainError) -> int:
    return 503 if isinstance(exc, Busy) else 409 if exc.code == "conflict" else 400


def _remembered(request: HttpRequest, response: HttpResponse, person: Person) -> HttpResponse:
    if person.guest:
        remember(response, person, secure=request.is_secure())
    response["Cache-Control"] = "no-store"
    return response
