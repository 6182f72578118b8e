"""The API page says what the doors are, from the same description that clients get."""

import json

import pytest
from django.test import Client

from config.docs import groups


@pytest.fixture
def page(db: None) -> str:
    answer = Client().get("/api/docs/")
    assert answer.status_code == 200
    return answer.content.decode()


def test_every_call_of_the_description_is_on_the_page(page):
    description = json.loads(
        Client().get("/api/schema/", HTTP_ACCEPT="application/vnd.oai.openapi+json").content
    )
    calls = [
        (method.upper(), path)
        for path, operations in description["paths"].items()
        for method in operations
        if method in {"get", "post", "put", "patch", "delete"}
    ]
    assert ("POST", "/api/conversations/") in calls
    for method, path in calls:
        assert f'<span class="badge badge--plain">{method}</span> {path}<' in page


def test_the_page_loads_nothing_from_elsewhere(page):
    assert "https://" not in page
    assert "http://" not in page.replace("http://testserver", "").replace("http://www.w3.org", "")


def test_types_are_told_in_words():
    description = {
        "components": {
            "schemas": {
                "Vote": {
                    "type": "object",
                    "required": ["choice"],
                    "properties": {
                        "choice": {"enum": ["a", "b"], "description": "which is better"},
                        "tags": {"type": "array", "items": {"type": "string"}, "nullable": True},
                        "at": {"type": "string", "format": "date-time"},
                    },
                }
            }
        },
        "paths": {
            "/votes/": {
                "post": {
                    "operationId": "vote",
                    "tags": ["votes"],
                    "requestBody": {
                        "content": {
                            "application/json": {"schema": {"$ref": "#/components/schemas/Vote"}}
                        }
                    },
                    "responses": {"204": {"description": "Stored."}},
                }
            }
        },
    }
    [group] = groups(description)
    [call] = group["calls"]
    assert [(field["name"], field["type"], field["needed"]) for field in call["body"]] == [
        ("choice", "one of a, b", True),
        ("tags", "list of string, may be null", False),
        ("at", "string (date-time)", False),
    ]
    assert call["body"][0]["text"] == "which is better"
    assert call["answers"] == [{"status": "204", "text": "Stored.", "type": "", "fields": []}]


def test_the_description_is_made_without_a_warning(capsys):
    from drf_spectacular.drainage import reset_generator_stats
    from drf_spectacular.generators import SchemaGenerator

    reset_generator_stats()
    assert SchemaGenerator().get_schema(request=None, public=True)["paths"]
    said = capsys.readouterr()
    assert "Warning" not in said.err + said.out
    assert "Error" not in said.err + said.out
