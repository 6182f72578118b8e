"""`/api/docs/`: the OpenAPI description as a page of ours, readable without scripts."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.generators import SchemaGenerator

METHODS = ("get", "post", "put", "patch", "delete")


def api_docs(request: HttpRequest) -> HttpResponse:
    """Every REST call, grouped by its subject, with what goes in and what comes out."""
    schema = SchemaGenerator().get_schema(request=None, public=True)
    address = f"{request.scheme}://{request.get_host()}"
    return render(request, "api_docs.html", {"groups": groups(schema), "address": address})


def groups(schema: dict) -> list[dict]:
    """`[{"name", "calls": [...]}]` in the order of the description."""
    found: dict[str, list[dict]] = {}
    for path, operations in schema["paths"].items():
        for method in METHODS:
            if method in operations:
                call = _call(schema, path, method, operations[method])
                found.setdefault(call["tag"], []).append(call)
    return [{"name": name, "calls": calls} for name, calls in found.items()]


def _call(schema: dict, path: str, method: str, operation: dict) -> dict:
    return {
        "anchor": operation["operationId"],
        "tag": (operation.get("tags") or ["other"])[0],
        "method": method.upper(),
        "path": path,
        "text": operation.get("description") or operation.get("summary") or "",
        "parameters": [
            {
                "name": parameter["name"],
                "where": parameter["in"],
                "type": _type(schema, parameter.get("schema", {})),
                "needed": parameter.get("required", False),
                "text": parameter.get("description", ""),
            }
            for parameter in operation.get("parameters", [])
        ],
        "body": _fields(schema, operation.get("requestBody", {})),
        "answers": [
            {"status": status, "text": answer.get("description", ""), **_named(schema, answer)}
            for status, answer in operation.get("responses", {}).items()
        ],
    }


def _content(part: dict) -> dict:
    """The schema of a body, JSON where there is a choice."""
    content = part.get("content", {})
    kind = "application/json" if "application/json" in content else next(iter(content), None)
    return content[kind].get("schema", {}) if kind else {}


def _resolved(schema: dict, part: dict) -> dict:
    while "$ref" in part:
        part = schema["components"]["schemas"][part["$ref"].rsplit("/", 1)[1]]
    if len(part.get("allOf", ())) == 1:
        return {**_resolved(schema, part["allOf"][0]), **part}
    return part


def _fields(schema: dict, part: dict) -> list[dict]:
    body = _resolved(schema, _content(part))
    needed = body.get("required", ())
    return [
        {
            "name": name,
            "type": _type(schema, field),
            "needed": name in needed,
            "text": _resolved(schema, field).get("description", ""),
        }
        for name, field in body.get("properties", {}).items()
    ]


def _named(schema: dict, answer: dict) -> dict:
    body = _content(answer)
    return {"type": _type(schema, body) if body else "", "fields": _fields(schema, answer)}


def _type(schema: dict, part: dict) -> str:
    """A type in a few words: "list of string", "one of a, b", "string (uuid), may be null"."""
    part = _resolved(schema, part)
    if choices := part.get("enum"):
        words = f"one of {', '.join(str(choice) for choice in choices)}"
    elif part.get("type") == "array":
        words = f"list of {_type(schema, part.get('items', {}))}"
    elif options := part.get("oneOf") or part.get("anyOf"):
        words = " or ".join(_type(schema, option) for option in options)
    else:
        words = part.get("type", "any")
        if form := part.get("format"):
            words += f" ({form})"
    return f"{words}, may be null" if part.get("nullable") else words


class BearerKeyScheme(OpenApiAuthenticationExtension):
    """Says in the description how keys are sent."""

    target_class = "config.auth.BearerKeyAuthentication"
    name = "bearerKey"

    def get_security_definition(self, auto_schema) -> dict:
        return {"type": "http", "scheme": "bearer"}
