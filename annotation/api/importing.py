"""Bringing a file in from the browser: a look at it first, then the whole of it.

Both calls take the file as the body of the request (`fetch(url, {method: "POST", body: file})`)
or as the part `file` of a form, and are for researchers of the project.

`POST /api/projects/{slug}/import/preview/?format=&kind=&map=&size=`
    The first megabyte of the file is enough: send `file.slice(0, 1048576)`, and `size=` the bytes
    of the whole file so that a record cut in two is not called an error. Nothing is stored.
    200 {"format", "guessed": true where it was told from the file,
         "formats": [{"name", "says", "kinds", "labelled"}],
         "fields": [{"name", "type", "example"}], for mapping,
         "suggested": {"prompt": FIELD, "answer_1": FIELD, ...}, a mapping to try,
         "map": the one in use,
         "tasks": [{"kind", "also", "external_id", "prompt": [{"role", "html", "text"}],
                    "candidates": [{"html", "text", "model"}], "judgments": how many, "gold",
                    "metadata": names}], at most 5; `html` is sanitised,
         "prompts": [[{"role", "html", "text"}]], of prompts that come without answers,
         "records", "good", "refused", "errors": [{"line", "reason"}],
         "complete": whether the whole file was read}
    400 {"detail", "code", "fields"} for a file in which not one record is found, an unknown
    format or kind, or a mapping that is none.

`POST /api/projects/{slug}/import/?format=&kind=&map=&partial=1&dry_run=1`
    Reads the whole file as a stream. Without `format` it is told from the beginning of the file.
    201 {"format", "created", "tasks", "prompts", "candidates", "judgments", "skipped", "refused",
         "errors": [{"line", "reason"}], "notes": {text: count}}
    400 the same and "detail" where a line was refused: nothing was kept, unless `partial=1`.

A mapping is `prompt:question,answer_1:left,answer_2:right` (target:source); a source may be a
path, as in `meta.question`. In Label Studio's files it applies inside `data`.
"""

from typing import BinaryIO

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.response import Response
from rest_framework.views import APIView

from annotation import policies
from annotation.api.permissions import Manages
from annotation.api.projects import Untouched
from annotation.services import imports, previews
from config.errors import Invalid

ANY = OpenApiTypes.OBJECT
FORMAT = OpenApiParameter("format", str, description="Told from the file if left out.")
KIND = OpenApiParameter("kind", str)
MAP = OpenApiParameter("map", str, description="target:source, as in prompt:question.")


def _file(request) -> BinaryIO:
    """The bytes of the upload: the part `file` of a form, or the body."""
    if (request.content_type or "").startswith("multipart/form-data"):
        found = request._request.FILES.get("file")
        if found is None:
            raise Invalid("The form has no part 'file'.", fields={"file": "is missing"})
        return found.file
    return request._request


class ImportingView(APIView):
    permission_classes = [Manages]
    parser_classes = [Untouched]


class PreviewView(ImportingView):
    @extend_schema(
        operation_id="import_preview",
        parameters=[FORMAT, KIND, MAP, OpenApiParameter("size", int)],
        request=ANY,
        responses={200: ANY, 400: ANY},
    )
    def post(self, request, slug):
        """What an import of this file would do, from its first megabyte. Nothing is stored."""
        row = policies.managed_project(slug=slug, by=request.user)
        query = request.query_params
        stream = _file(request)
        sent = _length(request, stream)
        size = query.get("size", "")
        whole = (
            int(size) <= sent
            if size.isascii() and size.isdigit() and len(size) < 19 and sent
            else None
        )
        return Response(
            previews.preview(
                project=row,
                stream=stream,
                format=query.get("format", ""),
                kind=query.get("kind", ""),
                map=query.get("map", ""),
                whole=whole,
            )
        )


def _length(request, stream: BinaryIO) -> int:
    if stream is not request._request:
        return request._request.FILES["file"].size
    length = request.META.get("CONTENT_LENGTH") or ""
    return int(length) if length.isascii() and length.isdigit() else 0


class ImportView(ImportingView):
    @extend_schema(
        operation_id="import_file",
        parameters=[
            FORMAT,
            KIND,
            MAP,
            OpenApiParameter("partial", bool, description="Keep the good lines."),
            OpenApiParameter("dry_run", bool, description="Check all of it, and keep nothing."),
        ],
        request=ANY,
        responses={201: ANY, 400: ANY},
    )
    def post(self, request, slug):
        """The whole file, streamed; all or nothing unless `?partial=1`."""
        row = policies.managed_project(slug=slug, by=request.user)
        query = request.query_params
        stream, name = _file(request), query.get("format", "")
        if not name:
            name, stream = previews.guessed(stream)
        partial = query.get("partial") == "1"
        created = imports.import_stream(
            project=row,
            stream=stream,
            format=name,
            kind=query.get("kind", ""),
            map=query.get("map", ""),
            partial=partial,
            dry_run=query.get("dry_run") == "1",
            by=request.user,
        )
        answer = {"format": name, **imports.summary(created), "notes": dict(created.notes)}
        if not created.refused or partial:
            return Response(answer, status=201)
        detail = imports.refusal(created)
        return Response({"detail": detail, "code": "invalid", "fields": {}, **answer}, status=400)
