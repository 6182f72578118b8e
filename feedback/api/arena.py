"""REST doors of the side-by-side comparison and its leaderboard."""

import asyncio
from uuid import UUID

from asgiref.sync import SyncToAsync
from django.conf import settings
from drf_spectacular.utils import (
    OpenApiParameter,
    OpenApiTypes,
    extend_schema,
    extend_schema_serializer,
)
from rest_framework import serializers
from rest_framework.permissions import AllowAny
from rest_framework.response import Response
from rest_framework.views import APIView

from config.errors import Invalid
from feedback.api.access import AUTHENTICATION, IsPerson, MayBegin, person_for
from feedback.consumers import announce
from feedback.models import Battle, Vote
from feedback.people import remember
from feedback.present import conversation_json
from feedback.services import arena, leaderboard
from feedback.threads import in_loop


@extend_schema_serializer(component_name="ArenaBegin")
class BeginIn(serializers.Serializer):
    consent = serializers.BooleanField(default=True)


class AskIn(serializers.Serializer):
    """`wait` false answers at once; the words then come over the conversation's socket."""

    id = serializers.UUIDField(required=False)
    text = serializers.CharField(trim_whitespace=False)
    wait = serializers.BooleanField(default=True)


class VoteIn(serializers.Serializer):
    outcome = serializers.ChoiceField(choices=Vote.Outcome.choices)
    seconds = serializers.FloatField(required=False, allow_null=True)


class ArenaView(APIView):
    """Begin a comparison: a conversation in which every question is answered twice."""

    authentication_classes = AUTHENTICATION
    permission_classes = [MayBegin]

    @extend_schema(request=BeginIn, responses={201: OpenApiTypes.OBJECT})
    def post(self, request) -> Response:
        wanted = _valid(BeginIn, request)
        person = person_for(request)
        begun = arena.begin(person=person, **wanted)
        response = Response(conversation_json(begun), status=201)
        if person.guest:
            remember(response, person, secure=request.is_secure())
        return response


class BattlesView(APIView):
    """Ask in a comparison."""

    authentication_classes = AUTHENTICATION
    permission_classes = [IsPerson]

    @extend_schema(operation_id="arena_battles_list", responses=OpenApiTypes.OBJECT)
    def get(self, request, conversation_id) -> Response:
        """All battles of the comparison, oldest first."""
        own = person_for(request).conversations.filter(source=arena.SOURCE)
        found = arena.battles_in(own.get(pk=conversation_id))
        return Response({"results": [arena.battle_json(battle) for battle in found]})

    @extend_schema(request=AskIn, responses={201: OpenApiTypes.OBJECT})
    def post(self, request, conversation_id) -> Response:
        wanted = _valid(AskIn, request)
        asked = arena.ask(
            person=person_for(request),
            conversation_id=conversation_id,
            text=wanted["text"],
            request_id=wanted.get("id"),
        )
        write(asked, wait=wanted["wait"])
        return Response(_shown(asked.battle.pk), status=201 if asked.created else 200)


class BattleView(APIView):
    """One battle; the models' names are there once the vote is."""

    authentication_classes = AUTHENTICATION
    permission_classes = [IsPerson]

    @extend_schema(responses=OpenApiTypes.OBJECT)
    def get(self, request, battle_id) -> Response:
        arena.battles_of(person_for(request)).get(pk=battle_id)
        return Response(_shown(battle_id))


class VoteView(APIView):
    """Vote, once. `Idempotency-Key` (a UUID) makes a repeat harmless."""

    authentication_classes = AUTHENTICATION
    permission_classes = [IsPerson]

    @extend_schema(
        request=VoteIn,
        responses={201: OpenApiTypes.OBJECT},
        parameters=[
            OpenApiParameter("Idempotency-Key", UUID, OpenApiParameter.HEADER, required=True)
        ],
    )
    def post(self, request, battle_id) -> Response:
        wanted = _valid(VoteIn, request)
        _, created = arena.vote(
            person=person_for(request),
            battle_id=battle_id,
            outcome=wanted["outcome"],
            seconds=wanted.get("seconds"),
            client_event=_key(request),
        )
        return Response(_shown(battle_id), status=201 if created else 200)


class LeaderboardView(APIView):
    """The leaderboard of a project's votes, best first, with 95 % intervals."""

    permission_classes = [AllowAny]

    @extend_schema(
        parameters=[OpenApiParameter("project", str, description="Slug; by default the chat's.")],
        responses=OpenApiTypes.OBJECT,
    )
    def get(self, request) -> Response:
        slug = request.query_params.get("project", settings.CHAT_PROJECT)
        project = leaderboard.project_for(slug=slug, user=request.user)
        found = leaderboard.current(project_id=project.pk)
        body = {
            "project": slug,
            "computed_at": found and found.computed_at.isoformat(),
            "contenders": [one.model_version.name for one in arena.contenders(slug)],
            "closed": arena.why_closed(slug) or None,
        }
        empty = {"places": [], "effects": [], "votes": 0, "both_bad": 0}
        return Response(body | (found.board if found else empty))


def write(asked: arena.Asked, *, wait: bool) -> None:
    """Have both answers written; outside the web server's loop they are always waited for."""
    lives_on = getattr(SyncToAsync.threadlocal, "main_event_loop", None) is not None
    in_loop(_write, asked, wait=wait or not lives_on)


async def _write(asked: arena.Asked, *, wait: bool) -> None:
    writing = [await announce(turn, attended=wait) for turn in asked.turns]
    if wait:
        await asyncio.gather(*(one.wait() for one in writing if one is not None))


def _shown(battle_id: UUID) -> dict:
    battle = Battle.objects.select_related(
        "question", "left__model_version", "right__model_version", "vote"
    ).get(pk=battle_id)
    return arena.battle_json(battle)


def _key(request) -> UUID:
    try:
        return UUID(request.headers.get("Idempotency-Key", ""))
    except ValueError:
        raise Invalid(
            "Send the header Idempotency-Key with a UUID of this vote.",
            fields={"Idempotency-Key": "must be a UUID"},
        ) from None


def _valid(serializer, request) -> dict:
    parsed = serializer(data=request.data)
    parsed.is_valid(raise_exception=True)
    return parsed.validated_data
