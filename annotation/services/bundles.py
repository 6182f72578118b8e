"""Exports of several files: Argilla's records with their settings, and Parquet with a card.

A bundle is written to a folder or streamed as a zip. Memory does not grow with the project: rows
go to temporary files in groups.
"""

import json
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import orjson
from django.db.models import Count

from annotation.formats.label_studio import HARM, VERDICTS
from annotation.models import Candidate, Principle, Project
from annotation.services import loaded, outgoing_tools
from annotation.services.loaded import LoadedJudgment, LoadedTask
from annotation.services.outgoing import in_order, standing, verdict_of
from annotation.services.parts import answer_of

CHUNK = 256 * 1024
GROUP = 1000
SIZES = (("n<1K", 1e3), ("1K<n<10K", 1e4), ("10K<n<100K", 1e5), ("100K<n<1M", 1e6))
Writer = Callable[[Project, Path, Counter, Counter], None]


def encode(record: dict) -> bytes:
    """A record as a line of JSON."""
    try:
        return orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE)
    except TypeError:  # a number beyond 64 bits
        return json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def zipped(folder: Path) -> Iterator[bytes]:
    """A folder as a zip, in chunks; the same files give the same bytes."""
    sink = _Sink()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            name = zipfile.ZipInfo(path.relative_to(folder).as_posix(), (1980, 1, 1, 0, 0, 0))
            packed = path.suffix == ".parquet"
            name.compress_type = zipfile.ZIP_STORED if packed else zipfile.ZIP_DEFLATED
            name.external_attr = 0o644 << 16
            with path.open("rb") as source, archive.open(name, "w", force_zip64=True) as target:
                while chunk := source.read(CHUNK):
                    target.write(chunk)
                    yield from sink.drain()
    yield from sink.drain()


class _Sink:
    """A file that cannot seek: what zipfile writes is drawn off as it comes."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []

    def write(self, data: bytes) -> int:
        self.parts.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Nothing waits here."""

    def drain(self) -> Iterator[bytes]:
        held, self.parts = self.parts, []
        if held:
            yield b"".join(held)


def streamed(project: Project, write: Writer, report: Callable[[int, Counter], dict]) -> (
    Iterator[bytes]
):  # fmt: skip
    """The bundle as a zip with the loss report in it, in chunks."""
    with TemporaryDirectory(prefix="preferendum-export-") as name:
        folder, lost, tally = Path(name), Counter(), Counter()
        write(project, folder, lost, tally)
        said = json.dumps(report(tally["records"], lost), indent=2, ensure_ascii=False)
        (folder / "loss.json").write_text(said + "\n")
        yield from zipped(folder)


# Argilla ------------------------------------------------------------------------------------


def argilla(project: Project, folder: Path, lost: Counter, tally: Counter) -> None:
    """`data/train.jsonl` and `.argilla/settings.json`."""
    (folder / "data").mkdir(parents=True, exist_ok=True)
    (folder / ".argilla").mkdir(exist_ok=True)
    with (folder / "data" / "train.jsonl").open("wb") as out:
        for task in loaded.tasks(project):
            for record in outgoing_tools.argilla(task, lost):
                out.write(encode(record))
                tally["records"] += 1
    settings = json.dumps(argilla_settings(project), indent=2, ensure_ascii=False)
    (folder / ".argilla" / "settings.json").write_text(settings + "\n")


def argilla_settings(project: Project) -> dict:
    """Fields and questions of the dataset, as Argilla describes them."""
    most = (
        Candidate.objects.filter(task__project=project)
        .order_by()
        .values("task_id")
        .annotate(n=Count("id"))
        .order_by("-n")
        .values_list("n", flat=True)
        .first()
    ) or 2
    fields = [f"answer_{n + 1}" for n in range(most)]
    return {
        "guidelines": project.guidelines or None,
        "allow_extra_metadata": True,
        "distribution": {"strategy": "overlap", "min_submitted": project.overlap},
        "fields": [
            {
                "name": name,
                "title": name.replace("_", " ").capitalize(),
                "required": name in ("prompt", "answer_1"),
                "settings": {"type": "text", "use_markdown": True},
            }
            for name in ("prompt", *fields)
        ],
        "questions": list(_questions(project, fields)),
        "metadata": [],
        "vectors": [],
    }


def _question(name: str, kind: str, required: bool = False, **settings) -> dict:
    return {
        "name": name,
        "title": name.replace("_", " ").capitalize(),
        "description": None,
        "required": required,
        "settings": {"type": kind, **settings},
    }


def _options(words) -> list[dict]:
    return [{"value": w, "text": str(w).replace("_", " "), "description": None} for w in words]


def _questions(project: Project, fields: list[str]) -> Iterator[dict]:
    label = "label_selection"
    for kind in project.kinds:
        match kind:
            case "pairwise":
                either = _options((*fields[:2], "tie", "both_bad"))
                yield _question("preference", label, True, options=either)
                strengths = [{"value": n} for n in (1, 2, 3)]
                yield _question("strength", "rating", options=strengths)
                for name in project.dimensions:
                    yield _question(f"dimension_{name}", label, options=either)
            case "listwise":
                yield _question("ranking", "ranking", True, options=_options(fields))
                yield _question("unusable", "multi_label_selection", options=_options(fields))
            case "safety":
                for name in ("helpful", "safer"):
                    either = _options((*fields[:2], "tie", "both_bad"))
                    yield _question(name, label, options=either)
            case "triplet":
                yield _question("closer", label, options=_options((*fields[1:3], "equal")))
        for field in fields:
            match kind:
                case "span":
                    options = _options(project.categories)
                    yield _question(f"spans_{field}", "span", field=field, allow_overlapping=True,
                                    options=options)  # fmt: skip
                    gaps = _options(project.missing_categories)
                    yield _question(f"missing_{field}", "multi_label_selection", options=gaps)
                case "principle":
                    keys = Principle.objects.filter(project=project, is_active=True)
                    for key in keys.values_list("key", flat=True):
                        yield _question(f"{key}_{field}", label, options=_options(VERDICTS))
                case "rating":
                    scale = [{"value": n} for n in range(5)]
                    for name in project.attributes:
                        yield _question(f"{name}_{field}", "rating", options=scale)
                case "critique":
                    for name in ("critique", "corrected"):
                        yield _question(f"{name}_{field}", "text", use_markdown=True)
                case "safety":
                    yield _question(f"harm_{field}", label, options=_options(HARM))
                case "step":
                    words = [f"{w} {n}" for n in range(20) for w in ("good", "neutral", "bad")]
                    yield _question(f"steps_{field}", "span", field=field, allow_overlapping=False,
                                    options=_options(words))  # fmt: skip
    for name in ("rationale", "flags"):
        yield _question(name, "text", use_markdown=False)


# Hugging Face -------------------------------------------------------------------------------


def _schemas() -> dict:
    """Columns by kind; `response` and `preferred` count the responses from 0."""
    import pyarrow as pa  # not needed to serve pages

    text, small, words = pa.string(), pa.int32(), pa.list_(pa.string())
    common = [
        ("task_id", pa.int64()), ("external_id", text), ("judgment_id", text),
        ("prompt", pa.list_(pa.struct([("role", text), ("content", text)]))),
        ("responses", words), ("models", words), ("annotator", text), ("shown", pa.list_(small)),
        ("rationale", text), ("flags", words), ("seconds", pa.float64()), ("source", text),
        ("final", pa.bool_()), ("created_at", pa.timestamp("us", "UTC")), ("metadata", text),
    ]  # fmt: skip
    choice = [("outcome", text), ("preferred", small)]
    own = {
        "pairwise": [*choice, ("strength", small),
                     ("dimensions", pa.list_(pa.struct([("dimension", text), *choice])))],
        "listwise": [("ranks", pa.list_(small))],
        "span": [
            ("spans", pa.list_(pa.struct([
                ("response", small), ("start", small), ("end", small), ("quote", text),
                ("category", text), ("severity", small), ("comment", text)]))),
            ("missing", pa.list_(pa.struct([
                ("response", small), ("category", text), ("comment", text)]))),
        ],
        "principle": [("verdicts", pa.list_(pa.struct([
            ("response", small), ("principle", text), ("verdict", text),
            ("evidence_start", small), ("evidence_end", small)])))],
        "rating": [("ratings", pa.list_(pa.struct([
            ("response", small), ("attribute", text), ("value", small)])))],
        "critique": [("response", small), ("critique", text), ("corrected", text)],
        "safety": [("helpful", pa.struct(choice)), ("safer", pa.struct(choice)),
                   ("harm", pa.list_(small))],
        "step": [("steps", pa.list_(pa.struct([
            ("response", small), ("step", small), ("value", small), ("comment", text)])))],
        "triplet": [("anchor", small), ("closer", small)],
    }  # fmt: skip
    return {kind: pa.schema([*common, *fields]) for kind, fields in own.items()}


def hf_dataset(project: Project, folder: Path, lost: Counter, tally: Counter) -> None:
    """`data/KIND.parquet` for each kind with judgments, and the card in README.md."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schemas = _schemas()
    (folder / "data").mkdir(parents=True, exist_ok=True)
    waiting: dict[str, list[dict]] = {}
    writers: dict = {}
    with ExitStack() as stack:

        def flush(kind: str) -> None:
            if kind not in writers:
                path = folder / "data" / f"{kind}.parquet"
                made = pq.ParquetWriter(path, schemas[kind], compression="zstd")
                writers[kind] = stack.enter_context(made)
            batch = pa.RecordBatch.from_pylist(waiting.pop(kind), schema=schemas[kind])
            writers[kind].write_batch(batch)

        for task in loaded.tasks(project):
            verdict = verdict_of(task)
            for judgment in standing(task, lost):
                is_final = verdict is None or judgment is verdict
                for kind, row in _rows(task, judgment, is_final):
                    tally["records"] += 1
                    tally[kind] += 1
                    waiting.setdefault(kind, []).append(row)
                    if len(waiting[kind]) >= GROUP:
                        flush(kind)
            lost["tasks nobody judged"] += not task.judgments
        for kind in list(waiting):
            flush(kind)
    (folder / "README.md").write_text(_card(project, tally))


def _rows(task: LoadedTask, judgment: LoadedJudgment, is_final: bool) -> Iterator[tuple[str, dict]]:
    candidates = in_order(task)
    place = {c.pk: n for n, c in enumerate(candidates)} | {None: None}
    common = {
        "task_id": task.pk,
        "external_id": task.external_id,
        "judgment_id": str(judgment.pk),
        "prompt": [
            {"role": m["role"], "content": _flat(m["content"])} for m in task.prompt
        ],
        "responses": [c.content for c in candidates],
        "models": [c.model for c in candidates],
        "annotator": judgment.annotator.pseudonym,
        "shown": [place.get(pk) for pk in judgment.shown],
        "rationale": judgment.rationale,
        "flags": judgment.flags,
        "seconds": judgment.seconds,
        "source": judgment.source,
        "final": is_final,
        "created_at": judgment.created_at,
        "metadata": json.dumps(task.metadata, ensure_ascii=False, sort_keys=True),
    }  # fmt: skip
    answer = answer_of(judgment)
    also = answer.pop("also", {})
    for kind, said in ((judgment.kind, answer), *also.items()):
        yield kind, common | _own_columns(kind, said, place)


def _flat(content: object) -> str:
    return content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)


def _own_columns(kind: str, said: dict, place: dict) -> dict:
    def numbered(items: list[dict]) -> list[dict]:
        return [{**i, "response": place[i["candidate"]]} for i in items]

    def chosen(choice: dict) -> dict:
        return choice | {"preferred": place[choice["preferred"]]}

    match kind:
        case "pairwise":
            return chosen(said) | {"dimensions": [chosen(d) for d in said.get("dimensions", [])]}
        case "listwise":
            ranks = {c: n for n, group in enumerate(said["ranking"], start=1) for c in group}
            return {"ranks": [ranks.get(c) for c in place if c is not None]}
        case "span":
            return {name: numbered(said[name]) for name in ("spans", "missing")}
        case "principle":
            found = numbered(said["verdicts"])
            for v in found:
                spot = v.pop("evidence", None) or {}
                v |= {"evidence_start": spot.get("start"), "evidence_end": spot.get("end")}
            return {"verdicts": found}
        case "rating":
            return {"ratings": numbered(said["ratings"])}
        case "critique":
            return {
                "response": place[said["candidate"]],
                "critique": said["critique"],
                "corrected": said["corrected"],
            }
        case "safety":
            harm = {place[h["candidate"]]: h["level"] for h in said["harm"]}
            return {
                "helpful": chosen(said["helpful"]),
                "safer": chosen(said["safer"]),
                "harm": [harm.get(n) for n in range(len(place) - 1)],
            }
        case "step":
            return {"steps": numbered(said["steps"])}
    return {name: place[said[name]] for name in ("anchor", "closer")}


def _card(project: Project, tally: Counter) -> str:
    kinds = [kind for kind in sorted(tally) if kind != "records"]
    size = next((says for says, most in SIZES if tally["records"] < most), "n>1M")
    front = ["---", f"pretty_name: {json.dumps(project.name, ensure_ascii=False)}"]
    if project.languages:
        front += ["language:", *(f"- {language}" for language in project.languages)]
    front += ["tags:", "- human-feedback", "- preference", "size_categories:", f"- {size}"]
    if kinds:
        front.append("configs:")
    for kind in kinds:
        front += [
            f"- config_name: {kind}",
            "  data_files:",
            "  - split: train",
            f"    path: data/{kind}.parquet",
        ]
    rows = [f"| `{kind}` | {tally[kind]} |" for kind in kinds]
    return "\n".join(
        [
            *front,
            "---",
            "",
            f"# {project.name}",
            "",
            "Judgments that people gave on answers of models: one row a judgment, one",
            "configuration a kind. People are named by pseudonyms. `prompt` is a conversation,",
            "`responses` are the answers in the order they came in; `preferred`, `response`,",
            "`anchor`, `closer` and `shown` count them from 0. Offsets of spans are Unicode code",
            "points, the end exclusive. Where a reviewer decided on a task, the verdict alone is",
            "`final`; elsewhere every judgment is.",
            "",
            "| configuration | judgments |",
            "|---|---|",
            *rows,
            "",
            "## What people were asked",
            "",
            (project.guidelines or "No guidelines were written.").strip(),
            "",
            "## Left out",
            "",
            "Judgments that were undone, decided anew or came after a task was full; tasks nobody",
            "judged; sampling parameters and log-probabilities.",
            "",
        ]
    )
