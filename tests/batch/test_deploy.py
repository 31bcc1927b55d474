"""The manifests in `deploy/`: of the shape that their readers expect, and asking for commands that exist."""

from __future__ import annotations

import json
import shlex
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

jsonschema = pytest.importorskip("jsonschema")
pytest.importorskip("ray")
yaml = pytest.importorskip("yaml")

DEPLOY = Path(__file__).parents[2] / "deploy"
pytestmark = pytest.mark.skipif(not DEPLOY.is_dir(), reason="part of the repository, not of the package")


def closed(required: list[str], **properties: Any) -> dict[str, Any]:
    """An object of these properties and no others, so that a slip in a name does not pass."""
    return {"type": "object", "required": required, "additionalProperties": False, "properties": properties}


TEXT = {"type": "string", "minLength": 1}
WHOLE = {"type": "integer", "minimum": 0}
QUANTITY = {"type": "string", "pattern": r"^\d+(\.\d+)?(m|Mi|Gi)?$"}
AMOUNTS = {"type": "object", "additionalProperties": QUANTITY, "required": ["cpu", "memory"]}
CONTAINER = closed(
    ["name", "image", "resources"],
    name=TEXT,
    image=TEXT,
    resources=closed(["requests", "limits"], requests=AMOUNTS, limits=AMOUNTS),
    ports={"type": "array", "items": closed(["containerPort", "name"], containerPort=WHOLE, name=TEXT)},
    envFrom={"type": "array", "items": closed(["secretRef"], secretRef=closed(["name"], name=TEXT))},
)
TEMPLATE = closed(
    ["spec"], spec=closed(["containers"], containers={"type": "array", "minItems": 1, "items": CONTAINER})
)
# Ray start parameters are texts, numbers included.
START = {"type": "object", "additionalProperties": {"type": "string"}}
RAY_CLUSTER = closed(
    ["rayVersion", "headGroupSpec", "workerGroupSpecs"],
    rayVersion=TEXT,
    enableInTreeAutoscaling={"type": "boolean"},
    autoscalerOptions=closed(
        [],
        upscalingMode={"enum": ["Default", "Aggressive", "Conservative"]},
        idleTimeoutSeconds=WHOLE,
    ),
    headGroupSpec=closed(["rayStartParams", "template"], rayStartParams=START, template=TEMPLATE),
    workerGroupSpecs={
        "type": "array",
        "minItems": 1,
        "items": closed(
            ["groupName", "replicas", "minReplicas", "maxReplicas", "rayStartParams", "template"],
            groupName=TEXT,
            replicas=WHOLE,
            minReplicas=WHOLE,
            maxReplicas=WHOLE,
            rayStartParams=START,
            template=TEMPLATE,
        ),
    },
)
RAY_JOB = closed(
    ["apiVersion", "kind", "metadata", "spec"],
    apiVersion={"const": "ray.io/v1"},
    kind={"const": "RayJob"},
    metadata=closed(["name"], name={"type": "string", "pattern": "^[a-z0-9-]{1,47}$"}),
    spec=closed(
        ["entrypoint", "rayClusterSpec"],
        entrypoint=TEXT,
        entrypointNumCpus={"type": "number", "minimum": 0},
        backoffLimit=WHOLE,
        shutdownAfterJobFinishes={"type": "boolean"},
        ttlSecondsAfterFinished=WHOLE,
        rayClusterSpec=RAY_CLUSTER,
    ),
)


def read(name: str) -> Any:
    return yaml.safe_load((DEPLOY / name).read_text())


def test_the_kuberay_job_has_the_fields_of_its_kind() -> None:
    job = read("kuberay-job.yaml")
    jsonschema.validate(job, RAY_JOB)
    cluster = job["spec"]["rayClusterSpec"]
    for group in cluster["workerGroupSpecs"]:
        assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
    broken = read("kuberay-job.yaml")
    broken["spec"]["rayClusterSpec"]["workerGroupSpecs"][0]["maxReplica"] = 3
    with pytest.raises(jsonschema.ValidationError, match="maxReplica"):
        jsonschema.validate(broken, RAY_JOB)


def test_the_job_asks_for_options_that_exist_and_for_no_more_workers_than_fit() -> None:
    from wavepaint.cli import app

    job = read("kuberay-job.yaml")["spec"]
    words = shlex.split(job["entrypoint"])
    assert words[:2] == ["wavepaint", "batch"]
    # Options are parsed before anything is done: with --help it stops there.
    result = CliRunner().invoke(app, [*words[1:], "--help"])
    assert result.exit_code == 0, result.output
    known = result.output
    assert all(word in known for word in words if word.startswith("--"))
    (group,) = job["rayClusterSpec"]["workerGroupSpecs"]
    (container,) = group["template"]["spec"]["containers"]
    cores = int(container["resources"]["limits"]["cpu"])
    assert int(words[words.index("--workers") + 1]) == cores * group["maxReplicas"]


def test_the_autoscaler_file_passes_rays_own_schema() -> None:
    config = read("autoscaler.yaml")
    schema = json.loads((files("ray.autoscaler") / "ray-schema.json").read_text())
    jsonschema.validate(config, schema)
    assert config["head_node_type"] in config["available_node_types"]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**config, "idle_timeout": 2}, schema)
    machines = config["available_node_types"]["processors"]
    workers = machines["max_workers"] * machines["resources"]["CPU"]
    assert f"--workers {workers}" in (DEPLOY / "autoscaler.yaml").read_text()


def test_images_and_versions_agree() -> None:
    from wavepaint import __version__

    job, machines = read("kuberay-job.yaml")["spec"]["rayClusterSpec"], read("autoscaler.yaml")
    containers = [
        group["template"]["spec"]["containers"][0] for group in (job["headGroupSpec"], *job["workerGroupSpecs"])
    ]
    images = {container["image"] for container in containers} | {machines["docker"]["image"]}
    assert {image.rpartition(":")[2] for image in images} == {__version__}
    dockerfile = (DEPLOY / "Dockerfile.cluster").read_text()
    assert f"ray[data,default]=={job['rayVersion']}" in dockerfile
    constraints = (DEPLOY.parent / "constraints.txt").read_text().splitlines()
    assert f"ray=={job['rayVersion']}" in constraints
