"""LiPO-lambda on rankings by professional writers, three answers to an instruction.

    python -m alignment.examples.lipo_rankings ../shared/data

The bundled policy is far too small to write such texts, so this shows the wiring, not a result:
what it prints is how well the policy's implicit rewards order answers to instructions it never saw,
before (0.5 by construction) and after.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
from pathlib import Path

import torch

from alignment.examples.policies import Student
from alignment.objectives import lipo
from alignment.rewards.likelihood import implicit_reward

FILE = Path("creativity_writers_ranking") / "preference_ranking.jsonl.gz"


def rankings(folder: Path) -> list[tuple[str, list[str], list[float]]]:
    """(instruction, answers, labels from 1 for the best to 0 for the worst) of every ranking."""
    out = []
    with gzip.open(folder / FILE, "rt", encoding="utf-8") as lines:
        for line in lines:
            record = json.loads(line)
            answers = record["responses"]
            labels = [0.0] * len(answers)
            for rank in range(len(answers)):
                # "Response 2" is the second answer.
                at = int(record[f"rank_{rank + 1}"].split()[-1]) - 1
                labels[at] = 1.0 - rank / (len(answers) - 1)
            out.append((record["instruction"], answers, labels))
    return out


def concordance(h: torch.Tensor, labels: torch.Tensor) -> float:
    """Share of answer pairs that implicit rewards order as the labels do; equal rewards half."""
    gap = h[:, :, None] - h[:, None, :]
    better = labels[:, :, None] > labels[:, None, :]
    return float(((gap > 0).double() + 0.5 * (gap == 0).double())[better].mean())


def main(argv: list[str] | None = None) -> dict[str, float]:
    """Train, test, print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path, help="folder of the published sets")
    parser.add_argument("--limit", type=int, default=120, help="rankings read at most")
    parser.add_argument("--epochs", type=int, default=2)
    args = parser.parse_args(argv)

    items = rankings(args.data)
    names = sorted({i[0] for i in items})
    random.Random(0).shuffle(names)
    order = {name: at for at, name in enumerate(names)}
    items = sorted(items, key=lambda i: order[i[0]])[: args.limit]
    test = {i[0] for i in items[: len(items) // 4]}

    student = Student(max_prompt=96, max_answer=96, lr=2e-4)
    rows = [student.encode(prompt, answers) for prompt, answers, _ in items]
    student.prepare(rows[0])
    labels = torch.tensor([i[2] for i in items], dtype=torch.float64)
    with torch.no_grad():
        ref = torch.stack([student.logps(r) for r in rows]).double()

    train = [i for i, item in enumerate(items) if item[0] not in test]
    held = [i for i, item in enumerate(items) if item[0] in test]
    history = []
    for epoch in range(args.epochs):
        random.Random(epoch).shuffle(train)
        for at in range(0, len(train), 8):
            batch = train[at : at + 8]
            logps = torch.stack([student.logps(rows[i]) for i in batch]).double()
            losses = lipo(logps, ref[batch], labels[batch], beta=0.1)
            history.append(student.step(losses.mean()))
    with torch.no_grad():
        after = torch.stack([student.logps(rows[i]) for i in held]).double()
    h = implicit_reward(after, ref[held])
    result = {
        "train": len(train),
        "held": len(held),
        "first_loss": history[0],
        "last_loss": sum(history[-4:]) / len(history[-4:]),
        "concordance": concordance(h, labels[held]),
    }
    print(
        f"{result['train']} rankings to learn, {result['held']} of unseen instructions\n"
        f"loss {result['first_loss']:.4f} -> {result['last_loss']:.4f}, "
        f"pairs of unseen answers ordered as the writers did: {result['concordance']:.3f}"
    )
    return result


if __name__ == "__main__":
    main()
