"""Images in questions, for models that take them: read, drawn anew, handed to the engine."""

import base64
import io
import warnings
from datetime import timedelta
from uuid import UUID, uuid4

from django.db.models import Q
from django.utils import timezone
from PIL import Image as Picture
from PIL import ImageOps, UnidentifiedImageError

from config.errors import Busy, Invalid
from feedback.models import Image, Message
from feedback.people import Person
from inference.models import ModelVersion

LARGEST_FILE = 12 * 2**20  # bytes
MOST_PIXELS = 40_000_000
LONGEST_SIDE = 1568  # models look no closer
MOST_IN_A_QUESTION = 4
MOST_IN_A_PROMPT = 8
MOST_WAITING = 20
#: Of all guests together: a new guest costs nothing, so a limit by guest alone bounds nothing.
MOST_WAITING_OF_GUESTS = 400
#: Hours after which a picture that was not sent is forgotten: of members, and of guests.
KEPT_HOURS, KEPT_HOURS_OF_GUESTS = 24, 2
FORMS = ("PNG", "JPEG", "WEBP", "GIF")


def taken_by(version: ModelVersion) -> bool:
    """Whether this version says of itself that it takes images."""
    return version.metadata.get("images") is True


def add(*, person: Person, content: bytes) -> Image:
    """Keep a picture until it is sent. Raises Invalid for what is too large or no picture, and
    Busy when the guests together have too many waiting.

    It is drawn again from its pixels, so that nothing else a file may carry comes with it.
    """
    if len(content) > LARGEST_FILE:
        raise _refused(f"is larger than {LARGEST_FILE // 2**20} MB")
    waiting = _of(person).filter(message=None).count()
    if waiting >= MOST_WAITING:
        raise Invalid("Too many pictures wait to be sent; send or remove some first.")
    if person.user is None:
        of_guests = Image.objects.filter(owner=None, message=None).count()
        if of_guests >= MOST_WAITING_OF_GUESTS:
            raise Busy(
                "Too many people are adding pictures at this moment. Try again later, or sign in.",
                retry_after=600,
            )
    picture = _drawn(content)
    kind = "PNG" if picture.mode == "RGBA" else "JPEG"
    out = io.BytesIO()
    picture.save(out, kind, **({"quality": 88} if kind == "JPEG" else {}))
    return Image.objects.create(
        owner=person.user,
        guest=person.guest,
        content_type=f"image/{kind.lower()}",
        width=picture.width,
        height=picture.height,
        data=out.getvalue(),
    )


def find(*, person: Person, image_id: UUID) -> Image:
    """The person's own picture; raises DoesNotExist."""
    return _of(person).get(pk=image_id)


def attach(*, person: Person, message: Message, image_ids: list[UUID]) -> list[Image]:
    """Put pictures that were waiting into a question, in this order. Raises Invalid."""
    if len(image_ids) > MOST_IN_A_QUESTION:
        raise Invalid(f"A message has at most {MOST_IN_A_QUESTION} pictures.")
    found = _of(person).filter(message=None).defer("data").in_bulk(image_ids)
    if len(found) != len(set(image_ids)):
        raise Invalid("A picture is no longer here; add it again.", fields={"images": "are gone"})
    for place, image in enumerate(found[one] for one in image_ids):
        image.message, image.place = message, place
    Image.objects.bulk_update(found.values(), ["message", "place"])
    return [found[one] for one in image_ids]


def copy(*, old: Message, message: Message) -> list[Image]:
    """Put the pictures of a question into its edited form, too."""
    copies = list(old.images.all())
    for image in copies:
        image.pk, image.message, image._state.adding = uuid4(), message, True
    return Image.objects.bulk_create(copies)


def with_images(messages: list[dict]) -> list[dict]:
    """Messages in chat form, with pictures as the parts engines read; the newest are kept.

    Each message may have `images`, a list of Image; that key is taken out.
    """
    ids = [image.pk for one in messages for image in one.get("images", ())][-MOST_IN_A_PROMPT:]
    data = {image.pk: address(image) for image in Image.objects.filter(pk__in=ids)} if ids else {}
    return [_parts(one, data) for one in messages]


def forget(*, person: Person) -> None:
    """Delete all pictures of this person, sent or waiting."""
    _of(person).delete()


def take_over(*, guest: Person, person: Person) -> None:
    """Give a guest's pictures to the account they signed in with."""
    _of(guest).update(owner=person.user, guest="")


def sweep() -> int:
    """Forget pictures that were never sent: a member's after a day, a guest's after two hours."""
    now = timezone.now()
    old = Q(created_at__lt=now - timedelta(hours=KEPT_HOURS)) | Q(
        owner=None, created_at__lt=now - timedelta(hours=KEPT_HOURS_OF_GUESTS)
    )
    return Image.objects.filter(old, message=None).delete()[0]


def _parts(message: dict, data: dict[UUID, str]) -> dict:
    rest = {name: value for name, value in message.items() if name != "images"}
    shown = [data[one.pk] for one in message.get("images", ()) if one.pk in data]
    if not shown:
        return rest
    pictures = [{"type": "image_url", "image_url": {"url": one}} for one in shown]
    return {**rest, "content": [*pictures, {"type": "text", "text": rest["content"]}]}


def address(image: Image) -> str:
    """The picture as a data URL."""
    return f"data:{image.content_type};base64,{base64.b64encode(image.data).decode()}"


def _of(person: Person):
    if person.user is not None:
        return Image.objects.filter(owner=person.user)
    return Image.objects.filter(guest=person.guest) if person.guest else Image.objects.none()


def _drawn(content: bytes) -> Picture.Image:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Picture.DecompressionBombWarning)
            opened = Picture.open(io.BytesIO(content), formats=FORMS)
            if opened.width * opened.height > MOST_PIXELS:
                raise _refused(f"has more than {MOST_PIXELS // 10**6} million pixels")
            opened.load()
            picture = ImageOps.exif_transpose(opened)  # the turn a camera noted is drawn
            picture = picture.convert("RGBA" if picture.has_transparency_data else "RGB")
            picture.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    except Invalid:
        raise
    except (UnidentifiedImageError, Picture.DecompressionBombError, Warning):
        raise _refused("is not a picture that can be read (PNG, JPEG, WebP or GIF)") from None
    except (OSError, ValueError, SyntaxError, EOFError, MemoryError, IndexError, KeyError):
        raise _refused("is damaged and cannot be read") from None
    picture.info.clear()
    return picture


def _refused(reason: str) -> Invalid:
    return Invalid(f"The file {reason}.", fields={"file": reason})
