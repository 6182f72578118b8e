"""Links that share a path of a conversation, made and taken back."""

from django.urls import reverse
from drf_spectacular.utils import OpenApiTypes, extend_schema
from rest_framework.response import Response
from rest_framework.views import APIView

from feedback.api.access import AUTHENTICATION, IsPerson, person_for
from feedback.api.serializers import ShareIn, valid
from feedback.models import Share
from feedback.services import shares


def _json(request, link: Share) -> dict:
    return {
        "id": str(link.pk),
        "url": request.build_absolute_uri(reverse("shared", args=[link.token])),
        "leaf": str(link.leaf_id),
        "created_at": link.created_at.isoformat(),
    }


class SharesView(APIView):
    """The links of one conversation."""

    authentication_classes = AUTHENTICATION
    permission_classes = [IsPerson]

    @extend_schema(responses=OpenApiTypes.OBJECT)
    def get(self, request, conversation_id) -> Response:
        found = shares.links(person=person_for(request), conversation_id=conversation_id)
        return Response({"results": [_json(request, one) for one in found]})

    @extend_schema(request=ShareIn, responses={201: OpenApiTypes.OBJECT})
    def post(self, request, conversation_id) -> Response:
        """Share the path that ends in `leaf` (by default the one in view)."""
        wanted = valid(ShareIn, request)
        link = shares.share(
            person=person_for(request), conversation_id=conversation_id, leaf_id=wanted["leaf"]
        )
        return Response(_json(request, link), status=201)


class ShareView(APIView):
    """One link."""

    authentication_classes = AUTHENTICATION
    permission_classes = [IsPerson]

    @extend_schema(responses={204: None})
    def delete(self, request, share_id) -> Response:
        """Take the link back: from now on it shows nothing."""
        shares.revoke(person=person_for(request), share_id=share_id)
        return Response(status=204)
