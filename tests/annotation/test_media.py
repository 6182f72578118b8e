"""Images of prompts and answers: what is taken in, what is stored, who may look."""

import io

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from PIL import Image

from annotation.models import Media
from annotation.services import media, projects
from annotation.services.tasks import CandidateIn, TaskIn, create_tasks
from annotation.templatetags.annotation import parts
from config.errors import Invalid

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def folder(settings, tmp_path):
    """A folder of the test's own for what is stored."""
    settings.STORAGES = {
        **settings.STORAGES,
        "default": {
            "BACKEND": "django.core.files.storage.FileSystemStorage",
            "OPTIONS": {"location": tmp_path},
        },
    }
    return tmp_path


def picture(form: str = "PNG", size: tuple[int, int] = (30, 20), **more) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, "red").save(out, form, **more)
    return out.getvalue()


def stored(row: Media) -> bytes:
    with row.file.open() as file:
        return file.read()


@pytest.mark.parametrize(
    ("form", "content_type"),
    [("PNG", "image/png"), ("JPEG", "image/jpeg"), ("WEBP", "image/png"), ("GIF", "image/png")],
)
def test_an_image_is_written_anew_without_what_it_carried(project, form, content_type):
    row = media.add_image(project=project, file=io.BytesIO(picture(form) + b"<script>tail"))
    assert (row.content_type, row.width, row.height) == (content_type, 30, 20)
    assert b"<script>" not in stored(row)
    assert Image.open(io.BytesIO(stored(row))).size == (30, 20)


def test_places_and_turns_noted_by_a_camera_are_drawn_and_dropped(project):
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    exif[0x010E] = "taken at home"
    row = media.add_image(project=project, file=io.BytesIO(picture("JPEG", exif=exif)))
    assert (row.width, row.height) == (20, 30)
    assert b"taken at home" not in stored(row)


def test_the_same_picture_is_stored_once(project):
    first, again = (media.add_image(project=project, file=io.BytesIO(picture())) for _ in range(2))
    assert first.pk == again.pk
    assert Media.objects.count() == 1


def test_a_large_picture_is_made_smaller(project, monkeypatch):
    monkeypatch.setattr(media, "LONGEST_SIDE", 10)
    row = media.add_image(project=project, file=io.BytesIO(picture()))
    assert (row.width, row.height) == (10, 7)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>",
        b"%PDF-1.7",
        picture()[:60],
        b"\x89PNG\r\n\x1a\n" + b"\x00" * 40,
        b"GIF89a" + b"\xff" * 20,
    ],
)
def test_what_is_no_image_is_refused_in_words(project, content):
    with pytest.raises(Invalid, match="The file is"):
        media.add_image(project=project, file=io.BytesIO(content))
    assert not Media.objects.exists()


def test_bombs_and_large_files_are_refused(project, monkeypatch):
    with pytest.raises(Invalid, match=r"pixels|read"):
        media.add_image(project=project, file=io.BytesIO(picture("GIF", (9000, 9000))))
    monkeypatch.setattr(media, "LARGEST_FILE", 10)
    with pytest.raises(Invalid, match="larger than"):
        media.add_image(project=project, file=io.BytesIO(picture()))


def upload(client, slug: str, content: bytes):
    file = SimpleUploadedFile("x.png", content)
    return client.post(f"/api/projects/{slug}/media/", {"file": file, "alt": "A dog"})


def test_members_see_an_image_and_nobody_else_finds_it(
    project, remy, alice, mallory, ben, api, signed_in, client
):
    shown = upload(api(remy, "research"), project.slug, picture()).json()
    seen = signed_in(alice).get(shown["address"])
    assert seen.status_code == 200
    assert seen.headers["Content-Type"] == "image/png"
    assert seen.headers["X-Content-Type-Options"] == "nosniff"
    assert "private" in seen.headers["Cache-Control"]
    project.memberships.filter(user=ben).delete()
    assert signed_in(ben).get(shown["address"]).status_code == 404
    assert signed_in(mallory).get(shown["address"]).status_code == 403
    assert client.get(shown["address"]).status_code == 302


def test_uploads_are_for_those_who_manage_the_project(project, alice, remy, api):
    assert upload(api(alice), project.slug, picture()).status_code == 403
    assert upload(api(remy), "elsewhere", picture()).status_code == 404
    assert upload(api(remy), project.slug, b"nothing").status_code == 400
    missing = api(remy).post(f"/api/projects/{project.slug}/media/", {"alt": "x"})
    assert missing.json()["fields"] == {"file": "is missing"}


def test_the_desk_shows_images_of_prompts_and_answers(project, alice, signed_in):
    row = media.add_image(project=project, file=io.BytesIO(picture()), alt="ours")
    prompt = [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is **it**?"},
                {"type": "image", "image": str(row.pk), "alt": 'a "red" box'},
            ],
        }
    ]
    answers = [
        CandidateIn("A box."),
        CandidateIn("", parts=[{"type": "image_url", "image_url": {"url": "https://a.example/b"}}]),
    ]
    create_tasks(project=project, tasks=[TaskIn("pairwise", prompt, answers)])
    html = signed_in(alice).get(f"/annotate/{project.slug}/").content.decode()
    assert f'src="/annotate/media/{row.pk}/" alt="a &quot;red&quot; box"' in html
    assert "<strong>it</strong>" in html
    assert "Image at a.example" in html
    assert 'src="https://a.example' not in html


@pytest.mark.parametrize(
    "content",
    [
        [{"type": "image", "image": "javascript:alert(1)"}],
        [{"type": "image", "image": "data:text/html;base64,PHNjcmlwdD4="}],
        [{"type": "image_url", "image_url": {"url": "//a.example/x"}}],
        [{"type": "image_url", "image_url": "http://[broken"}],
        [{"type": "image"}],
        [{"type": "image", "image": {"url": 7}}],
        [{"type": "video", "video": "x"}],
    ],
)
def test_what_is_no_image_of_ours_is_named_and_not_loaded(content):
    [part] = parts(content)
    assert part["type"] == "text"


def test_a_picture_inside_the_text_is_shown_from_there():
    given = "data:image/png;base64,iVBORw0KGgo="
    assert parts([{"type": "image", "image": given}])[0]["address"] == given


def test_images_are_kept_apart_by_project(project):
    other = projects.create_project(slug="other", kinds=["pairwise"])
    rows = [media.add_image(project=p, file=io.BytesIO(picture())) for p in (project, other)]
    assert rows[0].pk != rows[1].pk
