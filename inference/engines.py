"""The two generation servers, and all in which they differ.

Both speak the OpenAI protocol. `transformers serve` names a model by the folder of its full
weights and loads it when asked; vLLM names one by the name it was started or loaded with, and
takes LoRA adapters while it serves. A version's name is never reused, so neither can mix two up.
"""

from typing import Any

import httpx

from inference.errors import EngineDown, EngineRefused
from inference.models import ModelVersion

LOAD_SECONDS = 120.0


class TransformersServe:
    """`transformers serve`: full weights in a folder; LoRA adapters must be merged for it."""

    kind = "transformers"

    def model_name(self, model_version: ModelVersion) -> str:
        return model_version.location

    def sampling(self, sampling: dict[str, Any]) -> dict[str, Any]:
        """The fields it knows; an unknown one would be answered by 422."""
        known = ("temperature", "top_p", "max_tokens", "seed")
        return {name: sampling[name] for name in known if sampling.get(name) is not None}

    async def load(self, http: httpx.AsyncClient, model_version: ModelVersion) -> None:
        """Read the weights ahead of the first request, which would stop all streams meanwhile."""
        if model_version.form == ModelVersion.Form.ADAPTER:
            raise EngineRefused(
                f"'{model_version.name}' is a LoRA adapter, and this server takes full weights "
                "only. Merge it into its base, or serve with vLLM."
            )
        body = {"model": self.model_name(model_version)}
        request = http.build_request("POST", "/load_model", json=body, timeout=LOAD_SECONDS)
        answer = await http.send(request, stream=True)
        try:
            lines = [line async for line in answer.aiter_lines() if line.strip()]
        finally:
            await answer.aclose()
        if answer.status_code >= 500:
            raise EngineDown("The generation server failed to load the model.")
        if not lines or '"ready"' not in lines[-1]:
            raise EngineRefused(f"The generation server cannot load '{model_version.name}'.")

    async def unload(self, http: httpx.AsyncClient, model_version: ModelVersion) -> None:
        """Nothing to do: it drops a model that has not been asked for a while."""


class Vllm:
    """`vllm serve`: adapters by name while serving, full weights under a served model name."""

    kind = "vllm"

    def model_name(self, model_version: ModelVersion) -> str:
        return model_version.name

    def sampling(self, sampling: dict[str, Any]) -> dict[str, Any]:
        known = ("temperature", "top_p", "max_tokens", "seed", "top_k", "min_p")
        return {name: sampling[name] for name in known if sampling.get(name) is not None}

    async def load(self, http: httpx.AsyncClient, model_version: ModelVersion) -> None:
        """Load an adapter under the version's own name; full weights must be served already."""
        name = self.model_name(model_version)
        served = (await http.get("/v1/models")).json()
        if any(model["id"] == name for model in served.get("data", [])):
            return
        if model_version.form != ModelVersion.Form.ADAPTER:
            raise EngineRefused(
                f"vLLM does not serve '{name}'. Start it with --served-model-name {name}."
            )
        body = {"lora_name": name, "lora_path": model_version.location}
        answer = await http.post("/v1/load_lora_adapter", json=body, timeout=LOAD_SECONDS)
        if answer.status_code != 200 and "already" not in answer.text:
            raise EngineRefused(f"vLLM cannot load the adapter '{name}': {_words(answer)}")

    async def unload(self, http: httpx.AsyncClient, model_version: ModelVersion) -> None:
        if model_version.form == ModelVersion.Form.ADAPTER:
            body = {"lora_name": self.model_name(model_version)}
            await http.post("/v1/unload_lora_adapter", json=body)


Engine = TransformersServe | Vllm
ENGINES: dict[str, type[Engine]] = {"transformers": TransformersServe, "vllm": Vllm}


async def recognise(http: httpx.AsyncClient, kind: str = "auto") -> Engine:
    """The engine that answers at the client's address; only vLLM tells its version."""
    if kind == "auto":
        kind = "vllm" if (await http.get("/version")).status_code == 200 else "transformers"
    return ENGINES[kind]()


def _words(answer: httpx.Response) -> str:
    try:
        body = answer.json()
    except ValueError:
        return answer.text[:200]
    error = body.get("error", body)
    return str(error.get("message", error) if isinstance(error, dict) else error)[:200]
