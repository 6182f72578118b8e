"""The OpenAI-compatible doors: `/v1/models`, `/v1/chat/completions`, `/v1/feedback`.

Bearer keys with the scope 'feedback'. Every answer is stored like one of the chat, so it knows
its model and sampling, and feedback on it is a foreign key, not a guess.
"""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, suppress
from datetime import UTC, datetime
from functools import wraps
from time import time
from uuid import UUID

from django.core.exceptions import DisallowedHost, ObjectDoesNotExist, RequestDataTooBig
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.views.decorators.csrf import csrf_exempt

from config.errors import Busy, Conflict, DomainError
from config.models import AccessKey
from feedback import quota
from feedback.api import completion_forms as forms
from feedback.people import Person
from feedback.services import completions, reactions
from feedback.threads import in_thread

BODY_LIMIT = 2_000_000
View = Callable[..., Awaitable[HttpResponseBase]]


class _Refused(Exception):
    def __init__(self, message: str, *, status: int, code: str, param: str | None = None):
        super().__init__(message)
        self.message, self.status, self.code, self.param = message, status, code, param


def door(
    method: str,
    *,
    scopes: tuple[str, ...] = ("feedback",),
    from_anywhere: bool = False,
    needs: Callable | None = None,
) -> Callable[[View], Callable]:
    """Authorise by key, answer errors in the protocol's own shape.

    The key needs one of `scopes`. With `from_anywhere`, pages of other sites may call: no cookie
    is read here, so they can do no more than their key. `needs` is looked up in the same turn at
    the database as the key, and given to the view.
    """

    def admit(request: HttpRequest) -> tuple:
        key = _key(request, scopes)
        return (key,) if needs is None else (key, needs())

    def decorate(view: View) -> Callable:
        @csrf_exempt
        @wraps(view)
        async def guarded(request: HttpRequest) -> HttpResponseBase:
            if from_anywhere and request.method == "OPTIONS":
                return _open_to_all(HttpResponse(status=204), method)
            response = await answered(request)
            response["X-Content-Type-Options"] = "nosniff"
            return _open_to_all(response, method) if from_anywhere else response

        async def answered(request: HttpRequest) -> HttpResponseBase:
            try:
                if request.method != method:
                    raise _Refused(f"Use {method}.", status=405, code="method_not_allowed")
                request.get_host()
                key, *looked_up = await in_thread(admit, request)
                used = await quota.admit(key, view.__name__)
                response = await view(request, key, *looked_up)
                return _with(response, used)
            except quota.Exceeded as exc:
                refused = _error(exc.detail, 429, exc.code, kind="rate_limit_error")
                return _with(refused, exc.headers)
            except DisallowedHost:
                return _error("This host name is not served here.", 400, "invalid_host")
            except _Refused as exc:
                return _error(exc.message, exc.status, exc.code, exc.param)
            except RequestDataTooBig:
                return _error("The request is too large.", 413, "too_large")
            except ObjectDoesNotExist:
                return _error("There is no such answer for this key.", 404, "not_found")
            except DomainError as exc:
                return _domain_error(exc)

        return guarded

    return decorate


@door("GET", needs=completions.serving)
async def models(request: HttpRequest, key: AccessKey, serving: list) -> JsonResponse:
    """The models that answer at the moment."""
    data = [
        {
            "id": one.model_version.name,
            "object": "model",
            "created": int(one.model_version.created_at.timestamp()),
            "owned_by": "preferendum",
        }
        for one in serving
    ]
    return JsonResponse({"object": "list", "data": data})


@door("POST", needs=completions.serving)
async def chat_completions(request: HttpRequest, key: AccessKey, serving: list) -> HttpResponseBase:
    """Answer a chat, whole or streamed."""
    wanted = forms.completion(_body(request))
    writing = completions.Answer(
        key=key,
        messages=wanted.messages,
        model=wanted.model,
        sampling=wanted.sampling,
        serving=serving,
    )
    pieces = writing.pieces()
    if wanted.stream:
        # What fails before the first word has a status of its own.
        first = await anext(pieces, None)
        if first is None and writing.failure is not None:
            raise writing.failure
        return StreamingHttpResponse(
            _events(writing, first, pieces, include_usage=wanted.include_usage),
            content_type="text/event-stream",
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )
    async with aclosing(pieces):
        async for _ in pieces:
            pass
    if writing.failure is not None:
        raise writing.failure
    body = {
        **_head(writing, "chat.completion"),
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": writing.text},
                "finish_reason": writing.finish_reason or "stop",
                "logprobs": None,
            }
        ],
        "usage": _usage(writing),
    }
    return JsonResponse(body)


@door("POST", scopes=("feedback", "react"), from_anywhere=True)
async def feedback(request: HttpRequest, key: AccessKey) -> JsonResponse:
    """What the caller, or somebody behind it, thinks of an answer given to this key."""
    wanted = forms.feedback(_body(request))
    standing = await in_thread(
        reactions.choose,
        person=Person(user=key.user),
        message_id=wanted.message_id,
        reaction=wanted.reaction,
        client_event=wanted.client_event,
        reasons=wanted.reasons,
        comment=wanted.comment,
        client_time=datetime.now(UTC),
    )
    body = {
        "object": "feedback",
        "completion_id": completion_id(wanted.message_id),
        "reactions": standing,
    }
    return JsonResponse(body, status=201)


@csrf_exempt
async def no_door(request: HttpRequest) -> JsonResponse:
    """Whatever else is asked under /v1/: the pages' own 404 needs the middleware left out here."""
    return _error("There is no such door; see /v1/models and /v1/chat/completions.", 404,
                  "not_found")  # fmt: skip


def completion_id(message_id: UUID) -> str:
    """The id a client gets for an answer."""
    return f"{forms.PREFIX}{message_id.hex}"


async def _events(
    writing: completions.Answer,
    first: str | None,
    pieces: AsyncIterator[str],
    *,
    include_usage: bool,
) -> AsyncIterator[str]:
    """Server-sent chunks; a client that leaves ends the answer."""
    head = json.dumps(_head(writing, "chat.completion.chunk"), ensure_ascii=False)[:-1]

    def chunk(delta: dict, reason: str | None = None) -> str:
        choice = {"index": 0, "delta": delta, "finish_reason": reason, "logprobs": None}
        return f'data: {head}, "choices": [{json.dumps(choice, ensure_ascii=False)}]}}\n\n'

    async with aclosing(pieces):
        begun = chunk({"role": "assistant", "content": ""})
        yield begun if first is None else begun + chunk({"content": first})
        async for piece in pieces:
            yield chunk({"content": piece})
    if writing.failure is not None:
        yield _event(_error_body(writing.failure.detail, "server_error", writing.failure.code))
        return
    end = chunk({}, writing.finish_reason or "stop")
    if include_usage:
        usage = json.dumps(_usage(writing))
        end += f'data: {head}, "choices": [], "usage": {usage}}}\n\n'
    yield end + "data: [DONE]\n\n"


def _event(body: dict) -> str:
    return f"data: {json.dumps(body, ensure_ascii=False)}\n\n"


def _head(writing: completions.Answer, kind: str) -> dict:
    return {
        "id": completion_id(writing.id),
        "object": kind,
        "created": int(time()),
        "model": writing.version.name,
    }


def _usage(writing: completions.Answer) -> dict | None:
    if writing.usage is None:
        return None
    prompt, completion = writing.usage.prompt_tokens, writing.usage.completion_tokens
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }


def _with(response: HttpResponseBase, headers: dict[str, str]) -> HttpResponseBase:
    for name, value in headers.items():
        response[name] = value
    return response


def _open_to_all(response: HttpResponseBase, method: str) -> HttpResponseBase:
    response["Access-Control-Allow-Origin"] = "*"
    response["Access-Control-Allow-Methods"] = method
    response["Access-Control-Allow-Headers"] = "Authorization, Content-Type"
    response["Access-Control-Expose-Headers"] = "Retry-After"
    response["Access-Control-Max-Age"] = "86400"
    return response


def _key(request: HttpRequest, scopes: tuple[str, ...]) -> AccessKey:
    words = request.headers.get("Authorization", "").split()
    key = None
    if len(words) == 2 and words[0].lower() == "bearer":
        with suppress(UnicodeEncodeError):
            key = AccessKey.objects.find(words[1])
    if key is None:
        raise _Refused("Send a valid key: 'Authorization: Bearer KEY'.", status=401,
                       code="invalid_api_key")  # fmt: skip
    if not set(scopes) & set(key.scopes) & key.user.scopes:
        raise _Refused(f"This key lacks the scope '{scopes[0]}'.", status=403,
                       code="missing_scope")  # fmt: skip
    return key


def _body(request: HttpRequest) -> dict:
    if len(request.body) > BODY_LIMIT:
        raise _Refused("The request is too large.", status=413, code="too_large")
    try:
        body = json.loads(request.body)
    except (ValueError, RecursionError):
        raise _Refused("The body is not valid JSON.", status=400, code="invalid_json") from None
    if not isinstance(body, dict):
        raise _Refused("The body must be a JSON object.", status=400, code="invalid_json")
    return body


def _domain_error(exc: DomainError) -> JsonResponse:
    param = next(iter(exc.fields), None)
    if isinstance(exc, Busy):
        response = _error(exc.detail, 503, exc.code)
        response["Retry-After"] = str(exc.retry_after)
        return response
    if isinstance(exc, completions.UnknownModel):
        return _error(exc.detail, 404, "model_not_found", "model")
    if isinstance(exc, Conflict):
        return _error(exc.detail, 409, exc.code, param)
    return _error(exc.detail, 400, exc.code, param)


def _error(
    message: str, status: int, code: str, param: str | None = None, kind: str | None = None
) -> JsonResponse:
    kind = kind or ("invalid_request_error" if status < 500 else "server_error")
    return JsonResponse(_error_body(message, kind, code, param), status=status)


def _error_body(message: str, kind: str, code: str, param: str | None = None) -> dict:
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}
