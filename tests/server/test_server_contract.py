"""The application against its own OpenAPI description, by schemathesis."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

from serving import make_app
from wavepaint.server.settings import Settings

schemathesis = pytest.importorskip("schemathesis")
checks = pytest.importorskip("schemathesis.checks")

EXAMPLES = 30
# A field may be so wrong that it is over its size limit before anybody looks at what it says.
CONFIG = {"checks": {"negative_data_rejection": {"expected-statuses": [400, 401, 403, 405, 413, 415, 422]}}}
NAMED = Settings(allowed_hosts=("testserver",))
schema = schemathesis.openapi.from_asgi("/openapi.json", make_app(NAMED), config=schemathesis.Config.from_dict(CONFIG))


@schema.parametrize()
@settings(max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_keeps_to_its_description(case):
    # Bytes that are no image fit the description and are refused all the same: no schema can say what an image is.
    case.call_and_validate(excluded_checks=[checks.positive_data_acceptance])
