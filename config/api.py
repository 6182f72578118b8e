"""How errors leave the REST doors: one JSON shape, `{"detail", "code", "fields"}`."""

from django.core.exceptions import ObjectDoesNotExist, SuspiciousOperation
from django.core.exceptions import ValidationError as ModelValidationError
from django.http import Http404
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import exception_handler

from config.errors import Busy, Conflict, DomainError


def handle(exc: Exception, context: dict) -> Response | None:
    """DRF's EXCEPTION_HANDLER: domain errors to 400, 409 or 503, missing rows to 404."""
    if isinstance(exc, ObjectDoesNotExist):
        exc = Http404()
    if isinstance(exc, ModelValidationError):
        exc = exceptions.ValidationError("; ".join(exc.messages))
    if isinstance(exc, SuspiciousOperation):
        return Response({"detail": str(exc), "code": "invalid", "fields": {}}, status=400)
    if isinstance(exc, DomainError):
        status = 503 if isinstance(exc, Busy) else 409 if isinstance(exc, Conflict) else 400
        headers = {"Retry-After": str(exc.retry_after)} if isinstance(exc, Busy) else {}
        body = {"detail": exc.detail, "code": exc.code, "fields": exc.fields}
        return Response(body, status=status, headers=headers)
    response = exception_handler(exc, context)
    if response is not None and isinstance(exc, exceptions.ValidationError):
        fields = response.data if isinstance(response.data, dict) else {}
        flat = {name: _sentence(value) for name, value in fields.items()}
        detail = "; ".join(f"{k}: {v}" for k, v in flat.items()) or _sentence(response.data)
        response.data = {"detail": detail, "code": "invalid", "fields": flat}
    elif response is not None:
        code = getattr(exc, "default_code", "error")
        response.data = {"detail": _sentence(response.data), "code": code, "fields": {}}
    return response


def _sentence(value: object) -> str:
    if isinstance(value, dict):
        if set(value) == {"detail"}:
            return _sentence(value["detail"])
        return "; ".join(f"{key}: {_sentence(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return " ".join(_sentence(item) for item in value)
    return str(value)
