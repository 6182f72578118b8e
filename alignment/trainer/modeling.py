"""Policies on disk and in memory: load (full or adapter), wrap in LoRA, hash, save merged."""

from __future__ import annotations

import hashlib
import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from .schema import FieldError


@dataclass
class Policy:
    """A causal language model with its tokenizer; `peft` is its adapter wrapper, if any."""

    lm: nn.Module
    tokenizer: Any
    folder: Path
    peft: Any = None

    @property
    def eos_ids(self) -> list[int]:
        """Token ids that end an answer; the first is the one written after it."""
        own = self.tokenizer.eos_token_id
        listed = getattr(self.lm.generation_config, "eos_token_id", None)
        listed = [] if listed is None else [listed] if isinstance(listed, int) else list(listed)
        ids = ([own] if own is not None and (own in listed or not listed) else []) + listed
        return list(dict.fromkeys(ids))

    @property
    def max_positions(self) -> int:
        """Longest sequence the model reads."""
        value = getattr(self.lm.config, "max_position_embeddings", None)
        return int(value) if value else 1 << 20


def load_policy(
    field: str, folder: Path, base_model: Path | None = None, device: str = "cpu"
) -> Policy:
    """A policy from a folder of full weights, or of an adapter, which is merged into its base, in
    float32.

    `field` names the key of run.json in errors.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()
    adapter = (folder / "adapter_config.json").is_file()
    source = folder
    if adapter:
        source = base_model or _adapter_base(field, folder)
    try:
        lm = AutoModelForCausalLM.from_pretrained(
            source, dtype=torch.float32, attn_implementation="sdpa", local_files_only=True
        )
        if adapter:
            from peft import PeftModel

            lm = PeftModel.from_pretrained(lm, folder).merge_and_unload()
        has_tokenizer = (folder / "tokenizer_config.json").is_file()
        tokenizer = AutoTokenizer.from_pretrained(
            folder if has_tokenizer else source, local_files_only=True
        )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise FieldError(field, f"{folder.name} does not load as a policy: {first}") from None
    lm.requires_grad_(False)
    policy = Policy(lm.to(device).eval(), tokenizer, folder)
    if not policy.eos_ids:
        raise FieldError(field, f"{folder.name} names no end-of-answer token")
    return policy


def _adapter_base(field: str, folder: Path) -> Path:
    config = json.loads((folder / "adapter_config.json").read_text())
    name = config.get("base_model_name_or_path") or ""
    for candidate in (Path(name), folder / name):
        if name and candidate.is_dir():
            return candidate
    raise FieldError("base_model", f"is required: the adapter in {field} names the base {name!r}")


def make_trainable(policy: Policy, lora: dict[str, Any] | None) -> list[nn.Parameter]:
    """Switch on gradients: everywhere, or in fresh adapters. Returns the parameters to train."""
    if lora is None:
        policy.lm.requires_grad_(True)
    else:
        from peft import LoraConfig, get_peft_model

        config = LoraConfig(
            r=lora["r"],
            lora_alpha=lora["alpha"],
            lora_dropout=lora["dropout"],
            target_modules=lora["targets"],
            use_dora=lora["dora"],
            task_type="CAUSAL_LM",
        )
        try:
            with warnings.catch_warnings():
                # peft 0.21 asks transformers 5 for an attribute under its old name.
                warnings.simplefilter("ignore", FutureWarning)
                policy.peft = get_peft_model(policy.lm, config)
        except ValueError as error:
            raise FieldError("params.lora.targets", str(error).splitlines()[0]) from None
        policy.lm = policy.peft.get_base_model()
    seen: dict[int, nn.Parameter] = {}
    for parameter in policy.lm.parameters():
        if parameter.requires_grad:
            seen.setdefault(id(parameter), parameter)
    return list(seen.values())


def weights_hash(model: nn.Module) -> str:
    """Hash of all parameters and buffers kept in the state, by name and bytes; 32 hex digits."""
    digest = hashlib.blake2b(digest_size=16)
    seen: set[int] = set()
    for name, tensor in sorted(model.state_dict().items()):
        if tensor.data_ptr() in seen:
            continue
        seen.add(tensor.data_ptr())
        digest.update(f"{name}:{tuple(tensor.shape)}:{tensor.dtype}".encode())
        flat = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        digest.update(flat.numpy().data)
    return digest.hexdigest()


def save_policy(policy: Policy, folder: Path) -> None:
    """Full weights (an adapter merged), tokenizer, chat template and generation config; the adapter
    beside them.

    After this call an adapter is merged into `policy.lm` for good.
    """
    if policy.peft is not None:
        policy.peft.save_pretrained(folder / "adapter")
        policy.tokenizer.save_pretrained(folder / "adapter")
        policy.lm = policy.peft.merge_and_unload()
        policy.peft = None
    policy.lm.save_pretrained(folder)
    policy.tokenizer.save_pretrained(folder)
