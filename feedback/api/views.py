"""REST doors of the chat: the same use-cases as the socket."""

from django.db import transaction
from drf_spectacular.utils import OpenApiParameter, OpenApiTypes, extend_schema
from rest_framework.response import Response
from rest_framework.views import APIView

from feedback import events
from feedback.api.access import AUTHENTICATION, IsPerson, MayBegin, person_for
from feedback.api.serializers import BeginIn, ChangeIn, ReactionIn, SendIn, valid
from feedback.consumers import announce
from feedback.models import Conversation, Message
from feedback.people import remember
from feedback.present import conversation_json, message_json, reactions_of, tree_json
from feedback.search import search
from feedback.services import chat, generation, handover, reactions
from feedback.threads import in_loop
from feedback.tree import Tree

LIST_LIMIT = 200


class ConversationsView(APIView):
    """The person's conversations."""

    authentication_classes = AUTHENTICATION
    permission_classes = [MayBegin]

    @extend_schema(
        operation_id="conversations_list",
        parameters=[OpenApiParameter("q", str)],
        responses=OpenApiTypes.OBJECT,
    )
    def get(self, request) -> Response:
        """Newest first; with `?q=` those that have all these words, and where the first is."""
        own = person_for(request).conversations.filter(source="chat").exclude(leaf=None)
        words = request.query_params.get("q", "").strip()
        found = search(own, words, limit=LIST_LIMIT)
        results = [conversation_json(row) | {"place": place} for row, place in found]
        return Response({"results": results})

    @extend_schema(request=BeginIn, responses={201: OpenApiTypes.OBJECT})
    def post(self, request) -> Response:
        wanted = valid(BeginIn, request)
        person = person_for(request)
        key = request.headers.get("Idempotency-Key", "")[:100]
        begun = chat.begin(person=person, consent=wanted["consent"], key=key)
        response = Response(conversation_json(begun), status=201)
        if person.guest:
            remember(response, person, secure=request.is_secure())
        return response


class ConversationView(APIView):
    """One conversation with all its messages."""

    authentication_classes = AUTHENTICATION
    permission_classes = [IsPerson]

    @extend_schema(responses=OpenApiTypes.OBJECT)
    def get(self, request, conversation_id) -> Response:
        person = person_for(request)
        found = person.conversations.get(pk=conversation_id)
        standing = reactions_of(person, message__conversation=found)
        body = conversation_json(found) | {
            "leaf": str(found.leaf_id) if found.leaf_id else None,
            "messages": tree_json(Tree.of(found.pk), standing),
        }
        return Response(body)

    @extend_schema(request=ChangeIn, responses=OpenApiTypes.OBJECT)
    def patch(self, request, conversation_id) -> Response:
        """Change the title, or whether the conversation may be used to improve the model."""
        wanted = valid(ChangeIn, request)
        found = person_for(request).conversations.get(pk=conversation_id)
        for name, value in wanted.items():
            setattr(found, name, value)
        found.save(update_fields=[*wanted, "updated_at"])
        if wanted.get("consent") is False:
            handover.take_back(conversation_ids=[found.pk])
        if "title" in wanted:
            in_loop(events.tell, found.pk, {"type": "title", "title": found.title})
        return Response(conversation_json(found))

    @extend_schema(responses={204: None})
    def delete(self, request, conversation_id) -> Response:
        """Delete the conversation with all that was said in it and about it."""
        found: Conversation = person_for(request).conversations.get(pk=conversation_id)
        for message in found.messages.filter(state__in=chat.UNFINISHED):
            in_loop(generation.stop, message.pk)
        with transaction.atomic():
            handover.take_back(conversation_ids=[found.pk])
            found.delete()
        return Response(status=204)


class MessagesView(APIView):
    """Ask, and wait for the whole answer."""

    authentication_classes = AUTHENTICATION
    permission_classes = [IsPerson]

    @extend_schema(request=SendIn, responses={201: OpenApiTypes.OBJECT})
    def post(self, request, conversation_id) -> Response:
        wanted = valid(SendIn, request)
        turn = chat.send(
            person=person_for(request),
            conversation_id=conversation_id,
            text=wanted["text"],
            parent_id=wanted["parent"],
            request_id=wanted["id"],
            client_time=wanted["client_time"],
            image_ids=wanted["images"],
        )
        failure = in_loop(_answered, turn)
        if failure is not None:
            raise failure
        answer = Message.objects.select_related("model_version").get(pk=turn.answer.pk)
        tree = Tree.of(turn.conversation.pk)
        body = {
            "question": message_json(turn.question, siblings=tree.siblings(turn.question)),
            "answer": message_json(answer, siblings=tree.siblings(answer)),
        }
        return Response(body, status=201 if turn.created else 200)


class ReactionsView(APIView):
    """React to an answer, or take a reaction back with `"on": false`."""

    authentication_classes = AUTHENTICATION
    permission_classes = [IsPerson]

    @extend_schema(request=ReactionIn, responses={201: OpenApiTypes.OBJECT})
    def post(self, request, message_id) -> Response:
        wanted = valid(ReactionIn, request)
        person = person_for(request)
        standing, created = reactions.react(
            person=person,
            message_id=message_id,
            reaction=wanted["reaction"],
            on=wanted["on"],
            client_event=wanted["id"],
            reasons=wanted["reasons"],
            comment=wanted["comment"],
            client_time=wanted["client_time"],
        )
        conversation_id = Message.objects.values_list("conversation_id", flat=True).get(
            pk=message_id
        )
        payload = {"type": "reaction", "message": str(message_id), "reactions": standing}
        in_loop(events.tell, conversation_id, payload)
        body = {"message": str(message_id), "reactions": standing}
        return Response(body, status=201 if created else 200)


async def _answered(turn: chat.Turn):
    """Wait for a turn's answer; returns why there is none, when there is none."""
    writing = await announce(turn, attended=True)
    if writing is not None:
        await writing.wait()
    return writing.failure if writing is not None and not writing.text else None
