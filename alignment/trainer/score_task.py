"""Task `score`: rewards of given answers."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from .context import Context
from .data import BadRow, parse_prompt
from .files import publish_folder, read_table
from .reward_task import load_reward_model, score_texts
from .schema import FieldError


def execute(context: Context) -> dict[str, Any]:
    """Score every row; rows whose prompt or answer cannot be read get null and are counted."""
    model = load_reward_model(context)
    try:
        table = read_table(context.run["data"])
    except ValueError as error:
        raise FieldError("data", str(error)) from None
    column = next((c for c in ("completion", "text") if c in table.column_names), None)
    if "prompt" not in table.column_names or column is None:
        raise FieldError("data", "needs the columns 'prompt' and 'completion' (or 'text')")
    items, where = [], []
    for index, (prompt, answer) in enumerate(
        zip(table["prompt"].to_pylist(), table[column].to_pylist(), strict=True)
    ):
        try:
            messages = parse_prompt(prompt)
        except BadRow:
            continue
        if isinstance(answer, str):
            items.append((messages, answer))
            where.append(index)
    means: list[float | None] = [None] * table.num_rows
    spreads: list[float | None] = [None] * table.num_rows
    if items:
        rewards = score_texts(model, items, context)
        for i, index in enumerate(where):
            means[index], spreads[index] = float(rewards[i].mean()), float(rewards[i].std())
    if len(items) < table.num_rows:
        context.warnings.append(f"data: {table.num_rows - len(items)} rows could not be read")
    keep = [c for c in table.column_names if c not in ("reward_mean", "reward_std")]
    result = table.select(keep)
    result = result.append_column("reward_mean", pa.array(means, pa.float64()))
    result = result.append_column("reward_std", pa.array(spreads, pa.float64()))
    publish_folder(
        context.artefact,
        lambda folder: pq.write_table(result, folder / "scores.parquet", compression="zstd"),
    )
    scored = [m for m in means if m is not None]
    spread = [s for s in spreads if s is not None]
    return {
        "n": len(scored),
        "reward_mean": sum(scored) / len(scored) if scored else None,
        "reward_std": sum(spread) / len(spread) if spread else None,
    }
