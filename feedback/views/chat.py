"""The chat page: rendered whole by the server, then kept alive by its socket."""

from uuid import UUID

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_http_methods

from config.errors import Busy, DomainError
from feedback.consumers import announce
from feedback.models import Conversation
from feedback.people import COOKIE, Person, new_guest, person_of_request, read_guest, remember
from feedback.present import conversation_json, reactions_of, tree_json
from feedback.search import search
from feedback.services import chat, hindsight, images, own_data
from feedback.threads import in_loop
from feedback.tree import Tree
from inference import selectors
from inference.models import Deployment

LISTED = 100
SUGGESTIONS = (
    _("How do I boil an egg?"),
    _("Tell me a joke."),
    _("How can I sleep better?"),
    _("Help me plan my day."),
)


@ensure_csrf_cookie
@require_http_methods(["GET", "HEAD", "POST"])
def home(request: HttpRequest) -> HttpResponse:
    """A new chat; without script, the form's first question comes here."""
    _take_over(request)
    person = person_of_request(request) or new_guest()
    if request.method == "POST":
        try:
            begun = chat.begin(person=person, consent="consent" in request.POST)
        except DomainError as exc:
            return _page(request, person, None, error=exc)
        return _asked(request, person, begun)
    return _page(request, person, None)


@ensure_csrf_cookie
@require_http_methods(["GET", "HEAD", "POST"])
def conversation(request: HttpRequest, conversation_id: UUID) -> HttpResponse:
    """One conversation of this person; nobody else learns that it exists."""
    _take_over(request)
    person = person_of_request(request)
    found = person and person.conversations.filter(pk=conversation_id).first()
    if not found:
        raise Http404("There is no such conversation.")
    if request.method == "POST":
        return _asked(request, person, found)
    return _page(request, person, found)


def _take_over(request: HttpRequest) -> None:
    """What somebody said as a guest goes with them into the account they signed in with."""
    guest = read_guest(request.COOKIES.get(COOKIE))
    if guest and request.user.is_authenticated:
        own_data.take_over(user=request.user, guest=Person(guest=guest))


def _asked(request: HttpRequest, person: Person, home: Conversation) -> HttpResponse:
    """A question from the plain form: stored, answered, shown."""
    try:
        turn = chat.send(person=person, conversation_id=home.pk, text=request.POST.get("text", ""))
        in_loop(_answer, turn)
    except DomainError as exc:
        return _page(request, person, home, error=exc)
    response = redirect("conversation", conversation_id=home.pk)
    return _remembered(request, response, person)


async def _answer(turn: chat.Turn) -> None:
    writing = await announce(turn, attended=True)
    if writing is not None:
        await writing.wait()


def _page(
    request: HttpRequest,
    person: Person,
    current: Conversation | None,
    error: DomainError | None = None,
) -> HttpResponse:
    words = request.GET.get("q", "").strip()
    own = person.conversations.filter(source="chat").exclude(leaf=None)
    listed = search(own, words, limit=LISTED)
    earlier = hindsight.due(person=person) if current is None and not words else None
    messages, path = [], []
    if current is not None:
        tree = Tree.of(current.pk)
        messages = tree_json(tree, reactions_of(person, message__conversation=current))
        leaf = current.leaf_id or (list(tree.messages)[-1] if tree.messages else None)
        on_path = {str(one.pk) for one in tree.path(leaf)}
        path = [one for one in messages if one["id"] in on_path]
    context = {
        "conversations": [conversation_json(one) | {"place": place} for one, place in listed],
        "words": words,
        "earlier": earlier,
        "conversation": conversation_json(current) if current else None,
        # All messages of the tree, and those of the branch in view.
        "messages": messages,
        "thread": path,
        "leaf": str(current.leaf_id) if current and current.leaf_id else None,
        "max_chars": settings.CHAT_MAX_CHARS,
        "suggestions": SUGGESTIONS,
        "takes_images": _takes_images(current),
        "is_guest": person.user is None,
        "is_reviewer": person.user is not None and person.user.has_role("reviewer"),
        "error": error.detail if error else None,
        "typed": request.POST.get("text", "") if error else "",
    }
    status = 200 if error is None else 503 if isinstance(error, Busy) else 400
    response = render(request, "feedback/chat.html", context, status=status)
    return _remembered(request, response, person)


def _takes_images(current: Conversation | None) -> bool:
    """Whether the model that will answer takes pictures; for a new chat, whichever it will be."""
    dealt = current.deployment if current is not None else None
    if dealt is not None and dealt.state == Deployment.State.SERVING:
        return images.taken_by(dealt.model_version)
    serving = selectors.serving(project=settings.CHAT_PROJECT)
    versions = [one.model_version for one in serving]
    return bool(versions) and all(images.taken_by(one) for one in versions)


def _remembered(request: HttpRequest, response: HttpResponse, person: Person) -> HttpResponse:
    if person.guest:
        remember(response, person, secure=request.is_secure())
    elif COOKIE in request.COOKIES:
        response.delete_cookie(COOKIE, samesite="Lax")
    response["Cache-Control"] = "no-store"
    return response
