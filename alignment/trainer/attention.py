"""Attention over packed trees: no padding, no mask of the whole batch, the prompt read once.

All trees of a batch stand one after the other in a single row. A prompt attends to itself; each
answer attends to its prompt and to itself, and to no other answer. So attention is computed piece
by piece, and its cost grows with the sum of the pieces instead of the square of the row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from types import MethodType

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

#: The name under which transformers finds this attention.
NAME = "preferendum_tree"


@dataclass
class Layout:
    """Where the pieces of packed trees lie along the row.

    `sizes` are the lengths of all pieces in order; `trees` holds for each tree the index of its
    prompt's piece and those of its answers. `rows`, where set, are the positions whose last state
    is wanted.
    """

    sizes: list[int]
    trees: list[tuple[int, list[int]]]
    masks: dict[tuple, Tensor] = field(default_factory=dict)
    rows: Tensor | None = None

    def mask(self, prompt: int, answer: int, like: Tensor) -> Tensor:
        """What is added to the scores of an answer's positions `(n, p + n)`: 0 or -inf."""
        key = (prompt, answer, like.dtype)
        if key not in self.masks:
            shut = torch.full((answer, prompt + answer), float("-inf"), dtype=like.dtype)
            self.masks[key] = shut.triu(prompt + 1).to(like.device)
        return self.masks[key]


def layout_of(lengths: Sequence[tuple[int, Sequence[int]]]) -> Layout:
    """The layout of trees given as (prompt length, answer lengths); empty answers have no piece."""
    sizes: list[int] = []
    trees: list[tuple[int, list[int]]] = []
    for prompt, answers in lengths:
        sizes.append(prompt)
        at = len(sizes) - 1
        sizes += [n for n in answers if n]
        trees.append((at, list(range(at + 1, len(sizes)))))
    return Layout(sizes, trees)


def tree_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    tree: Layout | None = None,
    **kwargs,
) -> tuple[Tensor, None]:
    """Attention as transformers calls it: `(1, heads, L, D)` in, `(1, L, heads, D)` out.

    Without a layout it is the library's own SDPA, so generation and padded batches are unchanged.
    """
    if tree is None:
        from transformers.integrations.sdpa_attention import sdpa_attention_forward

        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout, scaling, **kwargs
        )
    if kwargs.get("softcap") or kwargs.get("s_aux") is not None:
        raise NotImplementedError("this model's attention does more than scaled dot products")
    groups = query.shape[1] // key.shape[1]
    queries = query.split(tree.sizes, dim=2)
    keys, values = key.split(tree.sizes, dim=2), value.split(tree.sizes, dim=2)
    out: list[Tensor | None] = [None] * len(tree.sizes)
    for prompt, answers in tree.trees:
        own = {"scale": scaling, "dropout_p": dropout}
        k, v = _heads(keys[prompt], groups), _heads(values[prompt], groups)
        out[prompt] = scaled_dot_product_attention(queries[prompt], k, v, is_causal=True, **own)
        for answer in answers:
            both_k = torch.cat((k, _heads(keys[answer], groups)), dim=2)
            both_v = torch.cat((v, _heads(values[answer], groups)), dim=2)
            mask = tree.mask(tree.sizes[prompt], tree.sizes[answer], query)
            out[answer] = scaled_dot_product_attention(
                queries[answer], both_k, both_v, attn_mask=mask, **own
            )
    return torch.cat(out, dim=2).transpose(1, 2).contiguous(), None


def _heads(x: Tensor, groups: int) -> Tensor:
    """Key or value heads repeated for their groups of query heads."""
    return x if groups == 1 else x.repeat_interleave(groups, dim=1)


def install(lm: nn.Module) -> None:
    """Have a model attend by layouts; ValueError for one that cannot change its attention."""
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    AttentionInterface.register(NAME, tree_attention)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    lm.set_attn_implementation(NAME)


def narrow(lm: nn.Module) -> bool:
    """Have the last decoder layer leave out its feed-forward part where no state is wanted: prompts
    teach through the layers below. False where the layer is not of the usual make.
    """
    layers = getattr(lm.base_model, "layers", None)
    if not layers or not all(hasattr(layers[-1], part) for part in _PARTS):
        return False
    # Bound to the layer, so that a copy of the model has its own.
    layers[-1].forward = MethodType(_narrowed, layers[-1])
    return True


_PARTS = ("input_layernorm", "self_attn", "post_attention_layernorm", "mlp")


def _narrowed(self, hidden_states: Tensor, *args, tree: Layout | None = None, **kwargs) -> Tensor:
    if tree is None or tree.rows is None:
        more = {} if tree is None else {"tree": tree}
        return type(self).forward(self, hidden_states, *args, **kwargs, **more)
    states = self.input_layernorm(hidden_states)
    attended, _ = self.self_attn(states, *args, tree=tree, **kwargs)
    states = (hidden_states + attended)[:, tree.rows]
    return states + self.mlp(self.post_attention_layernorm(states))


def window(config) -> int | None:
    """The shortest attention window of a model in tokens; None when every layer sees everything."""
    kinds = getattr(config, "layer_types", None)
    if kinds is not None and not any("full" not in kind for kind in kinds):
        return None
    size = getattr(config, "sliding_window", None)
    if not size or getattr(config, "use_sliding_window", True) is False:
        return None
    return int(size)
