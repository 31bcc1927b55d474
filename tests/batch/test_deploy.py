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


KUBERNETES = "1.37.0"


def fields(*required: str, **optional: Any) -> dict[str, Any]:
    """An object of these fields and no others, so that a slip in a name does not pass; "required" ones of any type."""
    names = {name: {} for name in required} | optional
    return {"type": "object", "required": list(required), "additionalProperties": False, "properties": names}


TEXT, FLAG, WHOLE = {"type": "string"}, {"type": "boolean"}, {"type": "integer", "minimum": 0}
TEXTS = {"type": "object", "additionalProperties": TEXT}
ANY: dict[str, Any] = {}
# The fields of KubeRay's published types, ray-operator/apis/ray/v1/{rayjob,raycluster}_types.go, of which its
# CustomResourceDefinition is generated. Pod templates are Kubernetes' own, and checked by its schema.
AUTOSCALER = fields(
    resources=ANY,
    image=TEXT,
    imagePullPolicy=TEXT,
    env=ANY,
    envFrom=ANY,
    volumeMounts=ANY,
    securityContext=ANY,
    idleTimeoutSeconds=WHOLE,
    upscalingMode={"enum": ["Default", "Aggressive", "Conservative"]},
)
HEAD = fields("template", rayStartParams=TEXTS, serviceType=TEXT, headService=ANY, enableIngress=FLAG)
HEAD["required"].append("rayStartParams")
WORKERS = fields(
    "template",
    groupName=TEXT,
    replicas=WHOLE,
    minReplicas=WHOLE,
    maxReplicas=WHOLE,
    numOfHosts=WHOLE,
    rayStartParams=TEXTS,
    scaleStrategy=ANY,
)
WORKERS["required"] += ["groupName", "minReplicas", "maxReplicas", "rayStartParams"]
RAY_CLUSTER = fields(
    headGroupSpec=HEAD,
    workerGroupSpecs={"type": "array", "items": WORKERS},
    rayVersion=TEXT,
    enableInTreeAutoscaling=FLAG,
    autoscalerOptions=AUTOSCALER,
    headServiceAnnotations=TEXTS,
    suspend=FLAG,
)
RAY_CLUSTER["required"].append("headGroupSpec")
JOB = fields(
    activeDeadlineSeconds=WHOLE,
    backoffLimit=WHOLE,
    rayClusterSpec=RAY_CLUSTER,
    submitterPodTemplate=ANY,
    metadata=TEXTS,
    clusterSelector=TEXTS,
    submitterConfig=fields(backoffLimit=WHOLE),
    managedBy=TEXT,
    deletionStrategy=ANY,
    entrypoint=TEXT,
    runtimeEnvYAML=TEXT,
    jobId=TEXT,
    submissionMode=TEXT,
    entrypointResources=TEXT,
    entrypointNumCpus={"type": "number"},
    entrypointNumGpus={"type": "number"},
    ttlSecondsAfterFinished=WHOLE,
    shutdownAfterJobFinishes=FLAG,
    suspend=FLAG,
)
RAY_JOB = fields(
    apiVersion={"const": "ray.io/v1"},
    kind={"const": "RayJob"},
    metadata=fields(name={"type": "string", "pattern": "^[a-z0-9-]{1,47}$"}),
    spec=JOB,
)
RAY_JOB["required"] = ["apiVersion", "kind", "metadata", "spec"]


def read(name: str) -> Any:
    return yaml.safe_load((DEPLOY / name).read_text())


def test_the_kuberay_job_has_the_fields_of_its_kind() -> None:
    job = read("kuberay-job.yaml")
    jsonschema.validate(job, RAY_JOB)
    for group in job["spec"]["rayClusterSpec"]["workerGroupSpecs"]:
        assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
    broken = read("kuberay-job.yaml")
    broken["spec"]["rayClusterSpec"]["workerGroupSpecs"][0]["maxReplica"] = 3
    with pytest.raises(jsonschema.ValidationError, match="maxReplica"):
        jsonschema.validate(broken, RAY_JOB)


def test_pod_templates_pass_the_published_schema_of_kubernetes() -> None:
    kubernetes = pytest.importorskip("kubernetes_validate")
    cluster = read("kuberay-job.yaml")["spec"]["rayClusterSpec"]
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        pods = {"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "x"}, "template": group["template"]}
        kubernetes.validate(pods, KUBERNETES, strict=True)
        group["template"]["spec"]["containers"][0]["envfrom"] = []
        with pytest.raises(kubernetes.ValidationError, match="envfrom"):
            kubernetes.validate(pods, KUBERNETES, strict=True)


def test_the_job_asks_for_options_that_exist_and_for_no_more_workers_than_fit() -> None:
    from wavepaint.cli.root import app

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
