"""The operator's settings, from the environment (`TOUCHSTONE_*`). The README's table lists them."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict


class Settings(BaseSettings):
    """One process's settings; the same names in containers and on the embedded stack."""

    model_config = SettingsConfigDict(env_prefix="TOUCHSTONE_", extra="ignore")

    redis_url: SecretStr = Field(
        SecretStr("redis://127.0.0.1:6379/0"), description="Redis or Valkey, with its password"
    )
    s3_endpoint: str = Field("http://127.0.0.1:9000", description="any S3 server's URL")
    s3_access_key: str = Field("touchstone", description="S3 access key")
    s3_secret_key: SecretStr = Field(SecretStr(""), description="S3 secret key")
    s3_bucket: str = Field("touchstone", description="the bucket that holds everything")
    s3_region: str = Field("us-east-1", description="given so that no call asks for the bucket's location")
    data_dir: Path = Field(
        Path(".touchstone/work"), description="local scratch: write-ahead answers, caches, job folders"
    )
    cache_gb: float = Field(
        100.0, ge=0, description="GB of models, checkpoints and tables that are kept on this host for their next use"
    )

    api_host: str = Field("127.0.0.1", description="where the API listens")
    api_port: int = Field(8000, description="the API's port")
    api_tokens: Annotated[list[SecretStr], NoDecode] = Field(
        default_factory=list, description="bearer tokens, comma-separated; needed on any address but loopback"
    )
    api_keys: Annotated[dict[str, list[str]], NoDecode] = Field(
        default_factory=dict,
        description="environment variables that specs may name, each with its hosts: NAME=host1|host2,OTHER=host",
    )
    simulator_url: str = Field("http://127.0.0.1:8900/v1", description="the simulated provider's base URL")
    simulator_host: str = Field("127.0.0.1", description="where the simulator listens")
    simulator_port: int = Field(8900, description="the simulator's port")

    max_spec_bytes: int = Field(256 * 1024, description="largest spec that POST takes")
    max_dataset_bytes: int = Field(512 * 1024 * 1024, description="largest dataset upload")
    max_model_bytes: int = Field(64 * 1024**3, description="largest model upload")
    trust_remote_code: bool = Field(False, description="let a model's own code run in trainers and engines")

    lease_seconds: float = Field(15.0, description="how long a worker's lease lives without a heartbeat")
    queued_seconds: float = Field(60.0, description="how long a unit counts as queued before it may be queued again")
    relist_seconds: float = Field(30.0, description="how often the conductor lists the commits anew")
    retry_seconds: float = Field(5.0, description="how long a waiting stage waits before it is tried again")
    batch_seconds: float = Field(30.0, description="how often a batch at a provider is looked at")
    shard_rows: int = Field(500, description="rows of a stage that one worker does at a time")
    request_concurrency: int = Field(64, description="requests in flight a process, where a spec sets no limit")
    # Young 1974: the root of twice what one takes times what passes between two faults; of half a second and a day.
    checkpoint_seconds: float = Field(
        300.0,
        description="how often a training saves itself to the store; less often where that takes over 2% of its time",
    )
    grace_seconds: float = Field(
        20.0, description="how long a trainer that is told to end may take to save its training"
    )
    torch_threads: int = Field(1, description="threads of a trainer or embedded engine on CPU")
    engine_start_seconds: float = Field(
        900.0, description="how long TGI or vLLM may take from its start to its first answer"
    )
    engine_grace_seconds: float = Field(10.0, description="how long TGI or vLLM may take to end by itself")
    tgi_args: str = Field("", description="what else text-generation-launcher is started with, as on a command line")
    vllm_args: str = Field("", description="what else `vllm serve` is started with, as on a command line")
    trainer_gpus: int = Field(
        1, ge=1, le=64, description="how many GPUs a trainer worker has, and so which trainings it takes"
    )
    gpu_lock: Path | None = Field(
        None, description="a file that trainer and engines lock in turn; the same for all that share a GPU of one host"
    )
    log_level: str = Field("info", description="debug, info, warning or error")

    @property
    def engine_lock(self) -> Path:
        """The file that whoever runs an engine on this machine holds."""
        return self.gpu_lock or self.data_dir / "engine.lock"

    @field_validator("api_tokens", mode="before")
    @classmethod
    def _split_tokens(cls, value: object) -> object:
        return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value

    @field_validator("gpu_lock", mode="before")
    @classmethod
    def _no_lock(cls, value: object) -> object:
        # As compose passes on a variable that nobody has set.
        return value or None

    @field_validator("api_keys", mode="before")
    @classmethod
    def _split_keys(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        bound = {}
        for part in filter(None, (piece.strip() for piece in value.split(","))):
            name, _, hosts = part.partition("=")
            if not hosts:
                raise ValueError(f"TOUCHSTONE_API_KEYS: {name} names no host; write {name}=api.example.com")
            bound[name] = hosts.split("|")
        return bound


@lru_cache
def get_settings() -> Settings:
    """The process's settings, read once."""
    return Settings()
