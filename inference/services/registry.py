"""Put model artefacts on record: named once, hashed, and only in a form that cannot run code."""

import hashlib
import json
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils.text import slugify

from config.errors import Conflict, Invalid
from inference.models import ModelVersion

STARTER = "starter"
STARTER_FOLDER = "inference/starter/weights"
#: Formats that run code when they are read (pickles and their wrappings).
UNSAFE_SUFFIXES = {
    *(".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".joblib", ".npy", ".npz"),
    *(".h5", ".keras", ".msgpack", ".py", ".so", ".tar", ".zip"),
}


def register(
    *,
    name: str,
    kind: str,
    location: str | Path,
    parent: ModelVersion | None = None,
    form: str = ModelVersion.Form.FULL,
    metadata: dict[str, Any] | None = None,
) -> ModelVersion:
    """Put the artefact in folder `location` on record; registering the same again returns it.

    Raises Conflict when the name stands for another artefact, Invalid when the folder is missing,
    has no safetensors, or has files that could run code.
    """
    folder = Path(location).expanduser().resolve()
    digest = artefact_digest(folder)
    with transaction.atomic():
        found, created = ModelVersion.objects.get_or_create(
            name=name,
            defaults={
                "kind": kind,
                "form": form,
                "parent": parent,
                "location": str(folder),
                "digest": digest,
                "metadata": {**_described(folder), **(metadata or {})},
            },
        )
        if not created:
            if (found.digest, found.kind) != (digest, kind):
                raise Conflict(f"The name '{name}' belongs to another model; names are not reused.")
            if found.location != str(folder) and not Path(found.location).is_dir():
                found.location = str(folder)  # the same bytes, in a checkout that has moved
                found.save(update_fields=["location"])
    return found


def ensure_starter() -> ModelVersion:
    """The first policy: the one in the repository, or what PREFERENDUM_MODEL names.

    PREFERENDUM_MODEL is a folder, or the id of a model in the local Hugging Face cache.
    """
    chosen = settings.PREFERENDUM_MODEL
    folder = Path(chosen).expanduser() if chosen else settings.BASE_DIR / STARTER_FOLDER
    name = (slugify(folder.name)[:80] or "model") if chosen else STARTER
    if chosen and not folder.is_dir():
        return _ensure_cached(chosen)
    digest = artefact_digest(folder.resolve())
    known = ModelVersion.objects.filter(name=name).first()
    if known is not None and known.digest != digest:
        name = f"{name}-{digest[:8]}"  # newer weights get a name of their own
    return register(name=name, kind=ModelVersion.Kind.POLICY, location=folder)


def _ensure_cached(repo_id: str) -> ModelVersion:
    """A model by its Hugging Face id, from the local cache: nothing is downloaded here."""
    from huggingface_hub import scan_cache_dir
    from huggingface_hub.errors import CacheNotFound

    try:
        repos = {repo.repo_id: repo for repo in scan_cache_dir().repos}
    except CacheNotFound:
        repos = {}
    if repo_id not in repos:
        raise Invalid(
            f"PREFERENDUM_MODEL={repo_id} is neither a folder nor a model in the Hugging Face "
            f"cache. Fetch it first (`hf download {repo_id}`) or give the folder of its files."
        )
    revision = max(repos[repo_id].revisions, key=lambda revision: revision.last_modified)
    name = slugify(f"{repo_id.replace('/', '-')}-{revision.commit_hash[:8]}")
    return register(
        name=name, kind=ModelVersion.Kind.POLICY, location=revision.snapshot_path,
        metadata={"repo_id": repo_id, "revision": revision.commit_hash},
    )  # fmt: skip


def artefact_digest(folder: Path) -> str:
    """SHA-256 over the sorted relative paths and contents of the folder's files."""
    if not folder.is_dir():
        raise Invalid(f"There is no folder {folder}.")
    files = sorted(
        path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")
    )
    unsafe = [path.name for path in files if path.suffix.lower() in UNSAFE_SUFFIXES]
    if unsafe:
        raise Invalid(f"Only safetensors weights are taken; {unsafe[0]} could run code when read.")
    if not any(path.suffix == ".safetensors" for path in files):
        raise Invalid(f"There are no .safetensors weights in {folder}.")
    digest = hashlib.sha256()
    for path in files:
        name = path.relative_to(folder).as_posix().encode()
        digest.update(b"%d:%b" % (len(name), name))
        digest.update(b"%d:" % path.stat().st_size)
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def _described(folder: Path) -> dict[str, Any]:
    """What the chat needs to know of the artefact: its context window, how to sample it."""
    described: dict[str, Any] = {}
    config = _read(folder / "config.json")
    window = config.get("max_position_embeddings")
    if isinstance(window, int) and window > 0:
        described["context_window"] = window
    if isinstance(config.get("vision_config"), dict):
        described["images"] = True
    generation = _read(folder / "generation_config.json")
    sampling = {
        name: float(generation[name])
        for name in ("temperature", "top_p")
        if isinstance(generation.get(name), int | float)
    }
    if sampling:
        described["sampling"] = sampling
    return described


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
