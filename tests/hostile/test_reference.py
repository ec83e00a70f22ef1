"""What the OpenAPI document promises, held against the server by requests that schemathesis makes from it."""

import json
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
from hypothesis import HealthCheck, Phase, settings

from tests.servers import ServerProcess

schemathesis = pytest.importorskip("schemathesis")
OPENAPI = Path(__file__).parent.parent.parent / "chatcore" / "reference" / "openapi.json"
SIGNED_OUT = ("/api/me", "delete")  # would end the account under test


def _document() -> dict:
    document = json.loads(OPENAPI.read_text())
    path, method = SIGNED_OUT
    document["paths"][path].pop(method)
    return document


schema = schemathesis.openapi.from_dict(_document())


@pytest.fixture(scope="module")
def token(server_process: ServerProcess) -> str:
    asked = Request(
        f"{server_process.url}/api/auth/dev-token", b'{"name":"schemathesis"}', {"Content-Type": "application/json"}
    )
    with urlopen(asked, timeout=10) as answer:
        return str(json.load(answer)["token"])


@schema.parametrize()
@settings(max_examples=10, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
def test_no_request_of_the_described_form_brings_a_fault(
    case: "schemathesis.Case", server_process: ServerProcess, token: str
) -> None:
    response = case.call(base_url=server_process.url, headers={"Authorization": f"Bearer {token}"}, timeout=10)
    assert response.status_code < 500 or response.status_code in (501, 503)
    if response.status_code >= 400:
        assert response.headers["content-type"][0].startswith("application/problem+json")
    else:
        case.validate_response(response, checks=(schemathesis.checks.not_a_server_error,))
