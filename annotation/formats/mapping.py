"""Fields of a file under other names, and records that are no format at all."""

from collections.abc import Iterator

from annotation.formats import sides
from annotation.formats.items import CandidateIn, Refused, TaskIn, rest
from annotation.formats.lines import Line
from annotation.formats.pairs import named_id
from config.errors import Invalid

MOST = 40


def read_map(text: str) -> dict[str, str]:
    """`prompt:question,answer_1:left` as {target: source}; a source may be a path, `a.b`.

    Raises Invalid for anything else.
    """
    pairs = [pair for pair in (text or "").split(",") if pair.strip()]
    found: dict[str, str] = {}
    for pair in pairs:
        target, colon, source = (part.strip() for part in pair.partition(":"))
        if not colon or not target or not source or target in found or len(pairs) > MOST:
            raise Invalid(
                "A mapping is written target:source, like prompt:question,answer_1:left.",
                fields={"map": "must be target:source, each target once"},
            )
        found[target] = source
    return found


def renamed(lines: Iterator[Line], names: dict[str, str], inside: str = "") -> Iterator[Line]:
    """Every record with its fields renamed, or those of the object `inside` it."""
    for line in lines:
        record = line.value
        holder = record.get(inside) if inside and isinstance(record, dict) else record
        if line.error is None and isinstance(holder, dict):
            moved = {target: _dig(holder, source) for target, source in names.items()}
            gone = {source for source in names.values() if "." not in source}
            kept = {k: v for k, v in holder.items() if k not in gone and k not in moved}
            holder = {**kept, **{k: v for k, v in moved.items() if v is not None}}
            record = {**record, inside: holder} if inside else holder
            line = line._replace(value=record)
        yield line


def _dig(record: object, path: str) -> object:
    if isinstance(record, dict) and path in record:
        return record[path]
    for step in path.split("."):
        if isinstance(record, list) and step.isdigit() and int(step) < len(record):
            record = record[int(step)]
        elif isinstance(record, dict):
            record = record.get(step)
        else:
            return None
    return record


def records(record: dict, kind: str = "") -> TaskIn:
    """Any record with a prompt and answers under names that can be told (`formats.sides`).

    Nothing in it is taken for a judgment. Without a kind: two answers pairwise, more listwise.
    """
    fields = sides.answer_fields([k for k, v in record.items() if isinstance(v, str)])
    prompt = sides.prompt_of(record)
    if not fields:
        raise Refused(
            "no field looks like an answer; name them, as in map=answer_1:FIELD,answer_2:FIELD"
        )
    if not kind and len(fields) < 2:
        raise Refused("with one answer the kind must be given")
    models = [record.get(f"model_{f[-1]}") for f in fields]
    used = (*fields, sides.prompt_field(list(record)) or "", "messages", "id")
    return TaskIn(
        kind=kind or ("pairwise" if len(fields) == 2 else "listwise"),
        prompt=prompt,
        candidates=[
            CandidateIn(record[f], model=m if isinstance(m, str) else "")
            for f, m in zip(fields, models, strict=True)
        ],
        external_id=named_id(record),
        metadata=rest(record, *used),
    )
