"""Images of prompts and answers: checked on their way in, written anew, named by their hash.

What is stored is drawn again from the pixels, so nothing else that a file may carry (scripts,
places, tails behind the picture) comes with it.
"""

import hashlib
import io
import warnings
from typing import BinaryIO

from django.core.files.base import ContentFile
from django.db import IntegrityError, transaction
from PIL import Image, ImageOps, UnidentifiedImageError

from annotation.models import Media, Project
from config.errors import Invalid

LARGEST_FILE = 20 * 2**20  # bytes
MOST_PIXELS = 40_000_000
LONGEST_SIDE = 4096  # larger pictures are made smaller; nobody judges more than that on a screen

#: What comes in, and what it is written as: photographs stay small, drawings stay sharp.
READ = ("PNG", "JPEG", "WEBP", "GIF")
WRITTEN = {"JPEG": ("JPEG", "image/jpeg", "jpg"), "PNG": ("PNG", "image/png", "png")}


def add_image(*, project: Project, file: BinaryIO, alt: str = "") -> Media:
    """Store an image; the same picture again gives the row that is there already.

    Of an animation the first frame is kept. Raises Invalid for what is too large or no image.
    """
    content = file.read(LARGEST_FILE + 1)
    if len(content) > LARGEST_FILE:
        raise _refused(f"is larger than {LARGEST_FILE // 2**20} MB")
    form, picture = _read(content)
    kind, content_type, ending = WRITTEN["JPEG" if form == "JPEG" else "PNG"]
    out = io.BytesIO()
    picture.save(out, kind, **({"quality": 90} if kind == "JPEG" else {"optimize": True}))
    data = out.getvalue()
    digest = hashlib.sha256(data).hexdigest()
    found = Media.objects.filter(project=project, sha256=digest).first()
    if found is not None:
        return found
    row = Media(
        project=project,
        sha256=digest,
        content_type=content_type,
        width=picture.width,
        height=picture.height,
        alt=_words(alt),
    )
    row.file.save(f"{digest}.{ending}", ContentFile(data), save=False)
    try:
        with transaction.atomic():
            row.save()
    except IntegrityError:  # the same picture at the same moment
        row.file.delete(save=False)
        return Media.objects.get(project=project, sha256=digest)
    return row


def _read(content: bytes) -> tuple[str, Image.Image]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            opened = Image.open(io.BytesIO(content), formats=READ)
            if opened.width * opened.height > MOST_PIXELS:
                raise _refused(f"has more than {MOST_PIXELS // 10**6} million pixels")
            opened.load()
    except Invalid:
        raise
    except (UnidentifiedImageError, Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise _refused("is not an image that can be read (PNG, JPEG, WebP or GIF)") from None
    except (OSError, ValueError, SyntaxError, EOFError, MemoryError, IndexError, KeyError):
        raise _refused("is damaged and cannot be read") from None
    form = opened.format or ""
    picture = ImageOps.exif_transpose(opened)  # the turn a camera noted is drawn
    picture = picture.convert("RGB" if form == "JPEG" else "RGBA")
    picture.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    picture.info.clear()
    return form, picture


def _words(alt: str) -> str:
    return "".join(c for c in alt if c.isprintable())[:500]


def _refused(reason: str) -> Invalid:
    return Invalid(f"The file {reason}.", fields={"file": reason})
