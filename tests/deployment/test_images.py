"""The image, the compose file and the deployment workflow, as far as text can tell: no container engine is needed."""

import re
from typing import Any

import pytest
import yaml

from chatcore.settings import Settings
from tests.deployment.configuration import ROOT

DOCKERFILE = (ROOT / "Dockerfile").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
SETTINGS = {name.upper() for name in Settings.model_fields}


def final_stage() -> str:
    return DOCKERFILE[DOCKERFILE.rindex("\nFROM ") :]


def test_the_server_runs_as_nobody_in_particular() -> None:
    (user,) = re.findall(r"^USER (\S+)$", final_stage(), re.MULTILINE)
    assert user.split(":")[0] not in ("0", "root")


def test_the_last_stage_has_no_package_tools_and_no_node() -> None:
    assert not re.search(r"\b(pip|uv|npm|apt-get|nodejs)\b", final_stage())


def test_the_server_image_holds_neither_the_workbench_nor_the_embedded_database() -> None:
    (extras,) = re.findall(r"^ARG EXTRAS=(\S+)$", DOCKERFILE, re.MULTILINE)
    assert not {"notebooks", "embedded", "dev", "training", "cluster"} & set(extras.split(","))
    known = set(re.findall(r"^(\w+) = \[$", (ROOT / "pyproject.toml").read_text(), re.MULTILINE))
    assert set(extras.split(",")) <= known


def test_what_the_image_copies_is_let_through() -> None:
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {
        name.strip("./")
        for line in re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE)
        for name in line.split()
    }
    assert copied <= allowed
    assert not {".env", ".git", "tests"} & allowed


def test_compose_sets_only_settings_that_the_server_reads() -> None:
    assert set(COMPOSE["services"]["server"]["environment"]) <= SETTINGS


@pytest.mark.parametrize("service", ["mongo", "redis", "storage"])
def test_only_the_server_is_reached_from_outside(service: str) -> None:
    assert "ports" not in COMPOSE["services"][service]
    assert all(port.startswith("127.0.0.1:") for port in COMPOSE["services"]["server"]["ports"])


def test_no_password_stands_in_the_compose_file() -> None:
    for name, value in COMPOSE["services"]["server"]["environment"].items():
        if re.search(r"SECRET|PASSWORD", name):
            assert value.startswith("${"), name


def test_images_are_named_with_a_version() -> None:
    images = [service["image"] for name, service in COMPOSE["services"].items() if name != "server"]
    assert all(":" in image and not image.endswith(":latest") for image in images)


def test_deployment_happens_only_when_asked_for() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "deploy.yml").read_text())
    assert set(workflow[True]) == {"workflow_dispatch"}  # YAML 1.1 reads `on` as true
    assert all(job["environment"] for job in workflow["jobs"].values())
