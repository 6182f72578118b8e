"""Two rounds of online DPO: sample, take the best against the worst, optimise, again.

    python -m alignment.examples.online_dpo

The judge is the lab's hidden taste, which stands for people here; the policy is the bundled one.
Rewards are measured on prompts that are never trained on.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np
import torch

from alignment.examples.policies import Student
from alignment.lab.gold import TASTES
from alignment.objectives import dpo
from alignment.rollouts import Rollout, Sampler, Sampling, choose
from alignment.rollouts.interface import Chat
from alignment.trainer.generate import answer_text, sample
from inference.starter.manners import held_out_prompts, training_prompts


def sampler(student: Student) -> Sampler:
    """The policy as a source of rollouts, all prompts at once."""

    def draw(prompts: Sequence[Chat], sampling: Sampling) -> list[list[Rollout]]:
        groups = sample(
            student.policy,
            [student.chat.prompt(list(p)) for p in prompts],
            sampling.n,
            temperature=sampling.temperature,
            max_new_tokens=sampling.max_new_tokens,
            batch=128,
            seed=sampling.seed,
        )
        return [
            [
                Rollout(prompt, answer_text(student.policy, a), tuple(a.ids), finished=a.finished)
                for a in group
            ]
            for prompt, group in zip(prompts, groups, strict=True)
        ]

    return draw


def main(argv: list[str] | None = None) -> dict[str, list[float]]:
    """Train, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--prompts", type=int, default=32, help="prompts a round")
    parser.add_argument("--test", type=int, default=24, help="held-out prompts")
    parser.add_argument("--samples", type=int, default=4, help="answers a prompt")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--tokens", type=int, default=40)
    args = parser.parse_args(argv)

    judge = TASTES["kind"]
    student = Student(max_answer=args.tokens, lr=3e-4)
    draw = sampler(student)
    train, test = training_prompts(), held_out_prompts()
    rng = np.random.default_rng(0)
    test = [test[i] for i in rng.permutation(len(test))[: args.test]]

    def chats(prompts):
        return [[{"role": "user", "content": p}] for p in prompts]

    def measure() -> float:
        student.policy.lm.eval()
        rows = draw(chats(test), Sampling(2, max_new_tokens=args.tokens, seed=10_000))
        pairs = zip(test, rows, strict=True)
        return float(np.mean([judge.of(p, r.text) for p, group in pairs for r in group]))

    rewards, pairs_of_round = [measure()], []
    for number in range(args.rounds):
        prompts = [train[i] for i in rng.permutation(len(train))[: args.prompts]]
        sampling = Sampling(args.samples, max_new_tokens=args.tokens, seed=number)
        rows = []
        for prompt, group in zip(prompts, draw(chats(prompts), sampling), strict=True):
            texts = [r.text for r in group]
            pair = choose(np.array([judge.of(prompt, t) for t in texts]), texts)
            if pair is not None:
                ids = student.chat.prompt(list(group[0].prompt))
                # The very tokens that were sampled, not those of the text read again.
                ends = (group[pair.chosen], group[pair.rejected])
                rows.append([(ids, list(r.token_ids)) for r in ends])
        pairs_of_round.append(len(rows))
        if not rows:
            break
        student.prepare(rows[0])
        # The reference of a round is the policy that sampled it.
        with torch.no_grad():
            ref = torch.stack([student.logps(r) for r in rows])
        for at in range(0, len(rows), 8):
            logps = torch.stack([student.logps(r) for r in rows[at : at + 8]])
            ends = (logps[:, 0], logps[:, 1], ref[at : at + 8, 0], ref[at : at + 8, 1])
            student.step(dpo(*ends, beta=0.1).mean())
        rewards.append(measure())
    print(
        f"{len(test)} held-out prompts; pairs a round: {pairs_of_round}\n"
        "mean reward before and after each round: " + ", ".join(f"{r:.3f}" for r in rewards)
    )
    return {"rewards": rewards, "pairs": pairs_of_round}


if __name__ == "__main__":
    main()
