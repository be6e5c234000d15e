"""Settings of a service: keys, origins, hosts, limits."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Sequence
from dataclasses import dataclass

from tmcir.core.errors import TMCIRError

#: Minimum length of an API key: shorter ones can be guessed.
MINIMUM_KEY = 16
#: Environment variable with API keys, separated by commas.
KEYS_VARIABLE = "TMCIR_API_KEYS"
#: Environment variable with admin keys.
ADMIN_KEYS_VARIABLE = "TMCIR_ADMIN_KEYS"
_LOCAL = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """Limits and permissions of a service.

    Attributes:
        title: Title of the page.
        api_keys: Any one of them opens the API; without any, the API is open.
        admin_keys: Any one of them opens the API and may remove photos; without any, nobody can.
        cors_origins: Other sites whose scripts may call the API, such as ``https://shop.example``.
        allowed_hosts: Host names that requests may ask for; empty allows all.
        maximum_upload: Bytes of a request with an image.
        maximum_pixels: Pixels of an uploaded image.
        timeout: Seconds that a request may take, its upload included.
        queue_size: Searches and explanations under way at once; more get status 503.
        batch_size: Queries encoded at once.
        batch_window: Seconds that a query waits for others to be encoded with it.

    Raises:
        TMCIRError: A value is out of range.
    """

    title: str = "Search"
    api_keys: tuple[str, ...] = ()
    admin_keys: tuple[str, ...] = ()
    cors_origins: tuple[str, ...] = ()
    allowed_hosts: tuple[str, ...] = ()
    maximum_upload: int = 10 * 1024 * 1024
    maximum_pixels: int = 50_000_000
    timeout: float = 30.0
    queue_size: int = 64
    batch_size: int = 16
    batch_window: float = 0.004

    def __post_init__(self) -> None:
        for name in ("maximum_upload", "maximum_pixels", "timeout", "queue_size", "batch_size"):
            if getattr(self, name) <= 0:
                raise TMCIRError(f"{name} must be more than 0, not {getattr(self, name)}")
        if not 0 <= self.batch_window <= 1:
            raise TMCIRError(f"batch_window must lie between 0 and 1 s, not {self.batch_window}")
        for key in (*self.api_keys, *self.admin_keys):
            if len(key) < MINIMUM_KEY or not key.isascii() or not key.isprintable() or " " in key:
                raise TMCIRError(
                    f"an API key has at least {MINIMUM_KEY} ASCII characters without spaces;"
                    ' make one with `python -c "import secrets; print(secrets.token_urlsafe())"`'
                )
        for origin in self.cors_origins:
            scheme, separator, host = origin.partition("://")
            if scheme not in ("http", "https") or not separator or not host or "/" in host:
                raise TMCIRError(
                    f"origin {origin!r}: write scheme and host, such as https://shop.example"
                )


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach a service that listens on ``host``."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name, wherever it leads
        return False


def keys_from_environment(variable: str = KEYS_VARIABLE) -> tuple[str, ...]:
    """Return the keys of an environment variable."""
    given = os.environ.get(variable, "").split(",")
    return tuple(key.strip() for key in given if key.strip())


def allowed_hosts(host: str, given: Sequence[str]) -> tuple[str, ...]:
    """Return the host names to serve on an address.

    On loopback these are the names of this machine: a site on the web could otherwise point a name
    of its own at the service and read from it in its visitors' browsers (DNS rebinding).

    Args:
        host: Address to listen on.
        given: Further names, such as that of a proxy in front.
    """
    return (*_LOCAL, host, *given) if is_loopback(host) else tuple(given)


def check_address(host: str, settings: ServiceSettings, without_key: bool = False) -> None:
    """Check that a service which other machines can reach has a key.

    Args:
        host: Address to listen on.
        settings: Settings of the service.
        without_key: Whether it is meant to be open to everyone.

    Raises:
        TMCIRError: It would be open to everyone, and nobody said that it should be.
    """
    if not is_loopback(host) and not settings.api_keys and not without_key:
        raise TMCIRError(
            f"--host {host}: other machines could search without a key; set one with --api-key or"
            " TMCIR_API_KEYS, or say --without-key if that is what you want"
        )
