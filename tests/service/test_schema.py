"""Requests made up from the OpenAPI schema: none may break the service."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.service.conftest import Server
from tmcir.gallery import Gallery

pytestmark = pytest.mark.slow

schemathesis = pytest.importorskip("schemathesis", reason="needs schemathesis")


def test_no_request_made_up_from_the_schema_breaks_the_service(gallery: Gallery) -> None:
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi.checks import (
        content_type_conformance,
        response_schema_conformance,
        status_code_conformance,
    )

    checks = [
        not_a_server_error,
        status_code_conformance,
        content_type_conformance,
        response_schema_conformance,
    ]
    server = Server(gallery)
    address = server.start()
    schema = schemathesis.openapi.from_url(f"{address}api/v1/openapi.json")
    operations = [result.ok() for result in schema.get_all_operations()]
    assert len(operations) == 15

    @settings(
        max_examples=80,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.one_of([operation.as_strategy() for operation in operations]))
    def check(case: Any) -> None:
        case.call_and_validate(checks=checks)

    try:
        check()
    finally:
        server.stop()
