"""REST doors for researchers: conversations found and read, handed on to be judged, by rule too."""

from uuid import UUID

from django.http import HttpResponse
from drf_spectacular.utils import OpenApiParameter, OpenApiTypes, extend_schema
from rest_framework import serializers
from rest_framework.response import Response
from rest_framework.views import APIView

from annotation.models import Project
from config.auth import scope
from config.errors import Invalid
from feedback.api.serializers import valid
from feedback.models import Handover, HandoverRule
from feedback.services import handover, handover_rules, reader, reading

LOOKS = 100


class HandoverIn(serializers.Serializer):
    conversations = serializers.ListField(
        child=serializers.UUIDField(), min_length=1, max_length=handover.MOST
    )
    target = serializers.SlugField(max_length=60)
    kind = serializers.CharField(max_length=16)
    preview = serializers.BooleanField(default=False)


class RuleIn(serializers.Serializer):
    target = serializers.SlugField(max_length=60)
    pick = serializers.CharField(max_length=12)
    kind = serializers.CharField(max_length=16)
    share = serializers.FloatField(default=1.0)
    per_day = serializers.IntegerField(default=20)


class RuleChangeIn(serializers.Serializer):
    is_active = serializers.BooleanField()


def target_named(slug: str) -> Project:
    """The live project that conversations go to. Raises Invalid."""
    found = Project.objects.live().filter(slug=slug).first()
    if found is None:
        raise Invalid("There is no such project.", fields={"target": "is not a live project"})
    return found


class ConversationsReadView(APIView):
    """Conversations of a project, newest first. Every search is written down."""

    permission_classes = [scope("research")]

    @extend_schema(
        operation_id="project_conversations_list",
        parameters=[
            *(OpenApiParameter(name, str) for name in reading.Query.__slots__),
            OpenApiParameter("before", str, description="As the page before gave it."),
        ],
        responses=OpenApiTypes.OBJECT,
    )
    def get(self, request, slug) -> Response:
        """Find them by words, model, arm, reaction, report, consent, door and date."""
        query = reading.Query.read(request.query_params)
        found = reading.search(
            project=Project.objects.get(slug=slug), by=request.user, query=query,
            before=request.query_params.get("before", ""),
        )  # fmt: skip
        return Response({"results": found.rows, "before": found.before})


class ConversationReadView(APIView):
    """One conversation with its whole tree. Every look is written down."""

    permission_classes = [scope("research")]

    @extend_schema(operation_id="project_conversation_detail", responses=OpenApiTypes.OBJECT)
    def get(self, request, slug, conversation_id) -> Response:
        """Without the person's consent there are no words in it, only when, how and by whom."""
        project = Project.objects.get(slug=slug)
        return Response(
            reader.open_one(project=project, by=request.user, conversation_id=conversation_id)
        )


class PictureReadView(APIView):
    """A picture in a conversation."""

    permission_classes = [scope("research")]

    @extend_schema(responses={(200, "image/*"): OpenApiTypes.BINARY})
    def get(self, request, slug, conversation_id, image_id) -> HttpResponse:
        image = reader.open_picture(
            project=Project.objects.get(slug=slug), by=request.user,
            conversation_id=conversation_id, image_id=image_id,
        )  # fmt: skip
        response = HttpResponse(bytes(image.data), content_type=image.content_type)
        response["Cache-Control"] = "private, no-store"
        return response


class HandoversView(APIView):
    """Conversations that became tasks."""

    permission_classes = [scope("research")]

    @extend_schema(
        operation_id="handovers_list",
        parameters=[OpenApiParameter("page", int)],
        responses=OpenApiTypes.OBJECT,
    )
    def get(self, request, slug) -> Response:
        """Newest first, a hundred a page."""
        given = request.query_params.get("page", "1")
        if not (given.isdecimal() and 0 < int(given) < 10_000):
            raise Invalid("'page' is a whole number.", fields={"page": "is not a page"})
        start = (int(given) - 1) * LOOKS
        rows = Handover.objects.filter(conversation__project__slug=slug).select_related(
            "target", "rule", "by"
        )[start : start + LOOKS]
        return Response({"results": [handover_json(one) for one in rows]})

    @extend_schema(request=HandoverIn, responses={201: OpenApiTypes.OBJECT})
    def post(self, request, slug) -> Response:
        """Make tasks of conversations; with `preview` only show what they would be."""
        wanted = valid(HandoverIn, request)
        asked = {
            "project": Project.objects.get(slug=slug), "by": request.user,
            "ids": wanted["conversations"], "target": target_named(wanted["target"]),
            "kind": wanted["kind"],
        }  # fmt: skip
        if wanted["preview"]:
            ready, left_out = handover.preview(**asked)
            body = {"tasks": [_prepared_json(one) for one in ready], "caveat": handover.CAVEAT}
            return Response(body | _left_out_json(left_out))
        done = handover.send(**asked)
        sent = [handover_json(one) for one in done.sent]
        status = 201 if sent else 200
        return Response({"sent": sent} | _left_out_json(done.left_out), status=status)


class RulesView(APIView):
    """Rules by which conversations become tasks by themselves."""

    permission_classes = [scope("research")]

    @extend_schema(operation_id="handover_rules_list", responses=OpenApiTypes.OBJECT)
    def get(self, request, slug) -> Response:
        rules = HandoverRule.objects.filter(project__slug=slug).select_related("target")
        return Response({"results": [rule_json(one) for one in rules]})

    @extend_schema(request=RuleIn, responses={201: OpenApiTypes.OBJECT})
    def post(self, request, slug) -> Response:
        """`pick` is low-love, reported, disagreement or random."""
        wanted = valid(RuleIn, request)
        target = target_named(wanted.pop("target"))
        project = Project.objects.get(slug=slug)
        made = handover_rules.create(project=project, target=target, by=request.user, **wanted)
        return Response(rule_json(made), status=201)


class RuleView(APIView):
    """One rule."""

    permission_classes = [scope("research")]

    @extend_schema(request=RuleChangeIn, responses=OpenApiTypes.OBJECT)
    def patch(self, request, slug, rule_id: UUID) -> Response:
        """Pause it, or let it go on."""
        rule = HandoverRule.objects.select_related("target").get(project__slug=slug, pk=rule_id)
        rule.is_active = valid(RuleChangeIn, request)["is_active"]
        rule.save(update_fields=["is_active"])
        return Response(rule_json(rule))

    @extend_schema(responses={204: None})
    def delete(self, request, slug, rule_id: UUID) -> Response:
        """Forget the rule; what it has sent stays."""
        HandoverRule.objects.get(project__slug=slug, pk=rule_id).delete()
        return Response(status=204)


class ReadingLogView(APIView):
    """Who looked at conversations of a project, and when."""

    permission_classes = [scope("admin")]

    @extend_schema(
        parameters=[
            OpenApiParameter("before", int, description="An entry's id; older ones follow.")
        ],
        responses=OpenApiTypes.OBJECT,
    )
    def get(self, request, slug) -> Response:
        """Newest first; the log is added to and never changed."""
        given = request.query_params.get("before")
        if given is not None and not (given.isdecimal() and len(given) <= 18):
            raise Invalid("'before' is an entry's id.", fields={"before": "must be a number"})
        project = Project.objects.get(slug=slug)
        before = int(given) if given is not None else None
        rows = reading.looks(project=project, before=before, limit=LOOKS)
        return Response({"results": rows, "before": rows[-1]["id"] if len(rows) == LOOKS else None})


def handover_json(one: Handover) -> dict:
    """What is told of a conversation that became a task."""
    return {
        "conversation": str(one.conversation_id),
        "target": one.target.slug,
        "task": one.task_id,
        "rule": str(one.rule_id) if one.rule_id else None,
        "by": one.by.pseudonym if one.by else None,
        "marks": one.marks,
        "created_at": one.created_at,
    }


def rule_json(rule: HandoverRule) -> dict:
    """What is told of a rule; `waiting` is how many conversations it finds now."""
    return {
        "id": str(rule.pk),
        "target": rule.target.slug,
        "pick": rule.pick,
        "kind": rule.kind,
        "share": rule.share,
        "per_day": rule.per_day,
        "is_active": rule.is_active,
        "ran_at": rule.ran_at,
        "sent": rule.handovers.count(),
        "waiting": len(handover_rules.waiting(rule)),
    }


def _prepared_json(one: handover.Prepared) -> dict:
    return {
        "conversation": str(one.conversation.pk),
        "prompt": one.task.prompt,
        "candidates": [given.content for given in one.task.candidates],
        "marks": one.marks,
    }


def _left_out_json(left_out: list[tuple[UUID, str]]) -> dict:
    return {"left_out": [{"conversation": str(one), "why": why} for one, why in left_out]}
