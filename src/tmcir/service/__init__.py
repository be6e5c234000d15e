"""The service: an HTTP API and a page over one gallery and one model in memory."""

from tmcir.service.app import create_app
from tmcir.service.server import serve
from tmcir.service.settings import (
    ADMIN_KEYS_VARIABLE,
    ServiceSettings,
    allowed_hosts,
    check_address,
    keys_from_environment,
)

__all__ = [
    "ADMIN_KEYS_VARIABLE",
    "ServiceSettings",
    "allowed_hosts",
    "check_address",
    "create_app",
    "keys_from_environment",
    "serve",
]
