"""What docker-compose.yml and the Dockerfiles promise; `make lint` checks them against the schema and by hadolint."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
TEXT = (ROOT / "docker-compose.yml").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
GPU: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "infra" / "docker" / "gpu.yml").read_text())["services"]
OURS = sorted(name for name, service in SERVICES.items() if "build" in service)
ONCE = {"folders", "bucket"}
DOCKERFILES = sorted((ROOT / "infra" / "docker").glob("*.Dockerfile"))
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]


def test_every_container_that_the_project_needs_is_there() -> None:
    wanted = {"redis", "object-store", "bucket", "api", "conductor", "teacher", "critic", "inference", "analyst"}
    assert set(SERVICES) >= wanted | {"trainer", "flower", "tgi", "simulator"}


def test_every_secret_must_be_set_and_none_has_a_default() -> None:
    secret = re.compile(r"\$\{(TOUCHSTONE_(?:\w*PASSWORD|\w*SECRET_KEY|\w*ACCESS_KEY|API_TOKENS|FLOWER_AUTH))(.{2})")
    found = secret.findall(TEXT)
    assert {name for name, _ in found} == {
        "TOUCHSTONE_REDIS_PASSWORD",
        "TOUCHSTONE_S3_ACCESS_KEY",
        "TOUCHSTONE_S3_SECRET_KEY",
        "TOUCHSTONE_API_TOKENS",
        "TOUCHSTONE_FLOWER_AUTH",
    }
    assert {mark for _, mark in found} == {":?"}


def test_the_example_of_an_environment_names_every_variable_of_compose() -> None:
    example = (ROOT / ".env.example").read_text()
    required = set(re.findall(r"\$\{(\w+):\?", TEXT))
    assert required == set(re.findall(r"^(\w+)=$", example, re.M))


def test_the_store_and_its_image_are_one_variable() -> None:
    assert SERVICES["object-store"]["image"].startswith("${TOUCHSTONE_S3_IMAGE:-")


@pytest.mark.parametrize("name", sorted(set(SERVICES) - ONCE))
def test_what_stays_up_restarts_and_is_watched(name: str) -> None:
    assert SERVICES[name]["restart"] == "unless-stopped"
    assert SERVICES[name]["healthcheck"]["test"]


@pytest.mark.parametrize("name", sorted(set(SERVICES) - {"folders", "object-store"}))
def test_what_needs_another_waits_for_its_condition(name: str) -> None:
    needs = SERVICES[name]["depends_on"]
    assert needs and all("condition" in need for need in needs.values())
    if name in set(OURS) - ONCE:
        assert needs["redis"]["condition"] == "service_healthy"
        assert needs["bucket"]["condition"] == "service_completed_successfully"


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_a_container_has_no_rights_beyond_its_work(name: str) -> None:
    service = SERVICES[name]
    assert service["cap_drop"] == ["ALL"]
    if name == "folders":
        # Gives volumes to the others' users, without a network, and ends.
        assert service["network_mode"] == "none" and service["cap_add"] == ["CHOWN"]
    elif name not in OURS:
        assert service["user"] == "65532:65532"


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_ports_are_published_on_loopback_alone(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name].get("ports", []))


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.stem)
def test_an_image_installs_its_own_extra_from_the_lock_for_a_user_without_rights(path: Path) -> None:
    name, text = path.name.removesuffix(".Dockerfile"), path.read_text()
    role, _, engine = name.partition("-")
    assert role in EXTRAS
    # Whatever model a spec names, the images that ask it can.
    extra = f"{role},anthropic" if role in {"teacher", "critic"} else role
    assert f'--constraint requirements.lock ".[{extra}]"' in text
    assert re.findall(r"^USER (.*)$", text, re.M) == ["10001"]
    build = (GPU if engine else SERVICES)[role]["build"]["dockerfile"]
    assert build.replace("${TOUCHSTONE_GPU_ENGINE:-tgi}", engine) == f"infra/docker/{path.name}"


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.stem)
def test_an_image_holds_no_other_roles_code(path: Path) -> None:
    copied = set(re.findall(r"\b(?:services|workers)/(\w+)(?= )", path.read_text())) - {"__init__"}
    assert copied <= {path.name.removesuffix(".Dockerfile").partition("-")[0]}


@pytest.mark.parametrize("engine", ["tgi", "vllm"])
def test_a_gpu_image_of_inference_builds_on_its_engines_own(engine: str) -> None:
    text = (ROOT / "infra" / "docker" / f"inference-{engine}.Dockerfile").read_text()
    (base,) = re.findall(r"^FROM (\S+):[\w.]+$", text, re.M)
    assert base == {"tgi": "ghcr.io/huggingface/text-generation-inference", "vllm": "vllm/vllm-openai"}[engine]
    # The engine's entry point would start it on a model of its own choice; the service does that.
    assert re.search(r"^ENTRYPOINT \[\]$", text, re.M)
    assert re.search(r'^CMD \["/opt/touchstone/bin/python", "-m", "services.inference"\]$', text, re.M)


def test_whoever_shares_a_gpu_can_lock_the_same_file() -> None:
    for service in (GPU["trainer"], GPU["inference"]):
        assert service["environment"]["TOUCHSTONE_GPU_LOCK"] == "${TOUCHSTONE_GPU_LOCK:-}"
        assert service["volumes"] == ["gpu:/var/lib/touchstone-gpu"]
    for name in ("trainer", "inference-tgi", "inference-vllm"):
        assert "/var/lib/touchstone-gpu" in (ROOT / "infra" / "docker" / f"{name}.Dockerfile").read_text()


def test_gpus_are_asked_for_by_tgi_and_by_the_override_alone() -> None:
    assert SERVICES["tgi"]["profiles"] == ["tgi"]
    for service in (SERVICES["tgi"], GPU["trainer"], GPU["inference"]):
        (device,) = service["deploy"]["resources"]["reservations"]["devices"]
        assert device["capabilities"] == ["gpu"]
    assert not any("deploy" in service for name, service in SERVICES.items() if name != "tgi")
