"""REST calls about people, for administrators."""

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema, inline_serializer
from rest_framework import serializers
from rest_framework.response import Response
from rest_framework.views import APIView

from config import erasure
from config.auth import scope
from config.errors import Invalid
from config.models import User

COUNTS = serializers.DictField(child=serializers.IntegerField())
WISH = inline_serializer(
    "Erasure",
    {
        "judgments": serializers.ChoiceField(choices=[erasure.KEEP, erasure.WITHDRAW]),
        "confirm": serializers.CharField(help_text="The pseudonym once more."),
    },
)


class ErasureView(APIView):
    """Taking a person out of everything."""

    permission_classes = [scope("admin")]

    @extend_schema(
        operation_id="people_erasure_preview",
        responses=inline_serializer("ErasurePreview", {"would": COUNTS}),
    )
    def get(self, request, pseudonym):
        """What there is of a person, by what it is called; changes nothing."""
        person = get_object_or_404(User, pseudonym=_plain(pseudonym))
        return Response({"would": erasure.would(person=person)})

    @extend_schema(
        operation_id="people_erase",
        request=WISH,
        responses=inline_serializer("Erased", {"erased": COUNTS}),
    )
    def post(self, request, pseudonym):
        """Close the account for good. `judgments` is `keep` (they stay under a new pseudonym,
        without a word of free text) or `withdraw` (they are deleted); `confirm` repeats the
        pseudonym. It cannot be undone."""
        person = get_object_or_404(User, pseudonym=_plain(pseudonym))
        body = request.data if isinstance(request.data, dict) else {}
        if body.get("confirm") != person.pseudonym:
            reason = "must be the pseudonym"
            raise Invalid(f"confirm {reason}.", fields={"confirm": reason})
        if "judgments" not in body:
            raise Invalid("judgments is missing.", fields={"judgments": "keep or withdraw"})
        done = erasure.erase_person(
            person=person, judgments=str(body["judgments"]), by=request.user
        )
        return Response({"erased": done})


def _plain(pseudonym: str) -> str:
    return pseudonym.replace("\x00", "")
