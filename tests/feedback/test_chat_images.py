"""Images in questions: for models that say they take them, drawn anew, seen by their person."""

import base64
import io
import json
import uuid
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone
from PIL import Image as Picture

from feedback import selectors
from feedback.models import Conversation, Image, Message
from feedback.services import images
from inference.models import ModelVersion
from inference.services import registry

pytestmark = pytest.mark.django_db(transaction=True)


def file(form="PNG", size=(6, 4), colour="red", **more) -> bytes:
    out = io.BytesIO()
    Picture.new("RGB", size, colour).save(out, form, **more)
    return out.getvalue()


def upload(client, content: bytes, kind="image/png"):
    return client.generic("POST", "/api/images/", content, content_type=kind)


@pytest.fixture
def seeing(served):
    """The live model says that it takes images."""
    ModelVersion.objects.filter(pk=served.model_version_id).update(metadata={"images": True})
    return served


@pytest.fixture
def ask(api):
    def post(client, text, **body):
        if "conversation" not in body:
            begun = client.post("/api/conversations/", {}, format="json").json()["id"]
        else:
            begun = body.pop("conversation")
        url = f"/api/conversations/{begun}/messages/"
        return begun, client.post(url, {"text": text, **body}, format="json")

    return post


def test_a_model_is_given_the_words_and_the_picture(alice, api, seeing, ask, engine_double):
    client = api(alice)
    added = upload(client, file()).json()
    assert (added["width"], added["height"]) == (6, 4)
    home, asked = ask(client, "What is this?", images=[added["id"]])
    assert asked.status_code == 201, asked.content
    assert [one["id"] for one in asked.json()["question"]["images"]] == [added["id"]]
    (said,) = engine_double.requests[0]["messages"]
    picture, words = said["content"]
    assert words == {"type": "text", "text": "What is this?"}
    head, _, data = picture["image_url"]["url"].partition(",")
    assert head == "data:image/jpeg;base64"
    assert Picture.open(io.BytesIO(base64.b64decode(data))).size == (6, 4)
    ask(client, "And its colour?", conversation=home)
    first, _, third = engine_double.requests[1]["messages"]
    assert first["content"][0]["type"] == "image_url"  # it is still there for the next question
    assert isinstance(third["content"], str)
    (shown, *_) = client.get(f"/api/conversations/{home}/").json()["messages"]
    assert client.get(shown["images"][0]["url"]).content[:3] == b"\xff\xd8\xff"


def test_a_model_that_takes_none_is_not_given_any(alice, api, served, ask, engine_double):
    client = api(alice)
    added = upload(client, file()).json()
    _, asked = ask(client, "What is this?", images=[added["id"]])
    assert asked.status_code == 400
    assert "takes no pictures" in asked.json()["detail"]
    assert engine_double.requests == []
    assert not Message.objects.exists()


def test_the_button_is_there_only_where_the_model_takes_pictures(guest, served):
    assert "data-attach" not in guest.get("/").content.decode()
    ModelVersion.objects.filter(pk=served.model_version_id).update(metadata={"images": True})
    assert "data-attach" in guest.get("/").content.decode()


def test_what_a_file_carries_besides_its_picture_is_left_behind(alice, api, served):
    exif = Picture.Exif()
    exif[0x010E] = "the secret address"
    client = api(alice)
    content = file("JPEG", exif=exif) + b"<script>alert(1)</script>"
    added = upload(client, content, "image/jpeg").json()
    kept = client.get(added["url"])
    assert kept["Content-Type"] == "image/jpeg"
    assert kept["X-Content-Type-Options"] == "nosniff"
    assert b"secret" not in kept.content
    assert b"script" not in kept.content


def test_large_pictures_are_made_smaller_and_clear_ones_stay_clear(alice, api, served):
    client = api(alice)
    added = upload(client, file(size=(3136, 100))).json()
    assert (added["width"], added["height"]) == (1568, 50)
    out = io.BytesIO()
    Picture.new("RGBA", (2, 2), (0, 0, 0, 0)).save(out, "PNG")
    added = upload(client, out.getvalue()).json()
    assert client.get(added["url"])["Content-Type"] == "image/png"


@pytest.mark.parametrize(
    "content",
    [b"", b"not a picture", b"<svg xmlns='http://www.w3.org/2000/svg'/>", file()[:40],
     b"\x89PNG\r\n\x1a\n" + b"\x00" * 50, b"GIF89a" + b"\xff" * 20],
)  # fmt: skip
def test_what_is_no_picture_is_refused_in_words(alice, api, served, content):
    refused = upload(api(alice), content)
    assert refused.status_code == 400
    assert "The file" in refused.json()["detail"]
    assert not Image.objects.exists()


def test_pictures_too_large_or_too_many_are_refused(alice, api, served, monkeypatch):
    client = api(alice)
    monkeypatch.setattr(images, "MOST_PIXELS", 20)
    assert upload(client, file()).status_code == 400
    monkeypatch.setattr(images, "MOST_PIXELS", 10**6)
    monkeypatch.setattr(images, "LARGEST_FILE", 10)
    assert upload(client, file()).status_code == 400
    monkeypatch.undo()
    monkeypatch.setattr(images, "MOST_WAITING", 1)
    assert upload(client, file()).status_code == 201
    assert upload(client, file()).status_code == 400


def test_guests_together_cannot_fill_the_disk_by_being_new_each_time(
    alice, api, served, monkeypatch
):
    monkeypatch.setattr(images, "MOST_WAITING_OF_GUESTS", 2)
    assert [upload(api(), file()).status_code for _ in range(3)] == [201, 201, 503]
    assert upload(api(alice), file()).status_code == 201
    Image.objects.update(created_at=timezone.now() - timedelta(hours=3))
    assert images.sweep() == 2
    assert upload(api(), file()).status_code == 201


def test_pictures_of_somebody_else_can_neither_be_seen_nor_sent(alice, mallory, api, seeing, ask):
    added = upload(api(alice), file()).json()
    other = api(mallory)
    assert other.get(added["url"]).status_code == 404
    assert api().get(added["url"]).status_code == 401
    assert ask(other, "Hi", images=[added["id"]])[1].status_code == 400
    assert ask(other, "Hi", images=[str(uuid.uuid4())])[1].status_code == 400
    assert ask(other, "Hi", images=["x"])[1].status_code == 400


def test_a_picture_is_sent_once_and_at_most_four_in_a_question(alice, api, seeing, ask):
    client = api(alice)
    ids = [upload(client, file()).json()["id"] for _ in range(5)]
    assert ask(client, "All", images=ids)[1].status_code == 400
    assert ask(client, "Four", images=ids[:4])[1].status_code == 201
    assert ask(client, "Again", images=ids[:1])[1].status_code == 400


def test_editing_a_question_keeps_its_pictures(alice, api, seeing, ask, engine_double, open_window,
                                               play):  # fmt: skip
    client = api(alice)
    home, asked = ask(client, "What?", images=[upload(client, file()).json()["id"]])

    async def scene():
        window, _ = await open_window(alice, home)
        await window.say("edit", message=asked.json()["question"]["id"], text="What is it?")
        await window.until("done")

    play(scene())
    assert engine_double.requests[1]["messages"][0]["content"][0]["type"] == "image_url"
    assert Image.objects.count() == 2


def test_a_picture_goes_by_the_socket_too_and_a_wrong_list_is_refused(
    alice, api, seeing, begin, open_window, play
):
    added = upload(api(alice), file()).json()
    home = begin(alice)

    async def scene():
        window, _ = await open_window(alice, home)
        await window.say("send", text="Look", images="nonsense")
        refused = await window.until("error")
        await window.say("send", text="Look", images=[added["id"]])
        shown = await window.until("message")
        await window.until("done")
        return refused, shown

    refused, shown = play(scene())
    assert "list" in refused["detail"]
    assert shown["message"]["images"][0]["id"] == added["id"]


def test_a_shared_path_shows_its_pictures_and_no_others(alice, api, seeing, ask):
    client = api(alice)
    home, _ = ask(client, "What?", images=[upload(client, file()).json()["id"]])
    waiting = upload(client, file()).json()
    link = client.post(f"/api/conversations/{home}/shares/", {}, format="json").json()
    path = link["url"].removeprefix("http://testserver")
    reader = Client()
    sent = Image.objects.exclude(message=None).get()
    assert f"{path}{sent.pk}/" in reader.get(path).content.decode()
    assert reader.get(f"{path}{sent.pk}/").status_code == 200
    assert reader.get(f"{path}{waiting['id']}/").status_code == 404
    client.delete(f"/api/shares/{link['id']}/")
    assert reader.get(f"{path}{sent.pk}/").status_code == 404


def test_pictures_are_taken_along_and_deleted_with_the_rest(alice, api, seeing, ask):
    client = api(alice)
    ask(client, "What?", images=[upload(client, file()).json()["id"]])
    upload(client, file())
    told = json.loads(b"".join(client.get("/api/own-data/").streaming_content))
    (kept,) = told["conversations"][0]["messages"][0]["images"]
    assert kept.startswith("data:image/jpeg;base64,")
    client.delete("/api/own-data/")
    assert not Image.objects.exists()


def test_conversations_with_pictures_are_left_out_where_only_words_are_read(
    alice, api, seeing, ask
):
    client = api(alice)
    _, asked = ask(client, "What?", images=[upload(client, file()).json()["id"]])
    answer = asked.json()["answer"]["id"]
    client.post(f"/api/messages/{answer}/reactions/", {"reaction": "love"}, format="json")
    ask(client, "Only words")
    project = [Conversation.objects.first().project_id]
    assert list(selectors.reactions(project_ids=project)) == []
    asked = selectors.prompts(project_ids=project, limit=5)
    assert [one[-1]["content"] for one in asked] == ["Only words"]


def test_pictures_never_sent_are_forgotten_after_a_day(alice, api, seeing, ask):
    client = api(alice)
    ask(client, "What?", images=[upload(client, file()).json()["id"]])
    upload(client, file())
    Image.objects.update(created_at=timezone.now() - timedelta(days=2))
    upload(client, file())
    assert images.sweep() == 1
    assert Image.objects.filter(message=None).count() == 1


def test_a_guest_adds_pictures_that_go_with_them_into_their_account(alice, guest, seeing):
    guest.get("/")
    added = upload(guest, file()).json()
    assert guest.get(added["url"]).status_code == 200
    guest.force_login(alice)
    guest.get("/")
    assert guest.get(added["url"]).status_code == 200
    assert Image.objects.get().owner == alice


def test_a_model_with_eyes_is_known_by_its_configuration(artefact, db):
    folder = artefact("eyes")
    config = folder / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "vision_config": {}}))
    version = registry.register(name="eyes", kind="policy", location=folder)
    assert images.taken_by(version)
    assert not images.taken_by(registry.register(
        name="none", kind="policy", location=artefact("none")
    ))  # fmt: skip
