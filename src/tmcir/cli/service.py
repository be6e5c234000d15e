"""`tmcir serve`."""

from __future__ import annotations

from typing import Annotated

import typer

from tmcir.cli.gallery import open_gallery
from tmcir.cli.options import ExactUpTo, GalleryAddress, GalleryModel, RuntimeName

ApiKeys = Annotated[
    list[str] | None,
    typer.Option(help="Key for the API; repeat for more. Or set TMCIR_API_KEYS=a,b."),
]
AdminKeys = Annotated[
    list[str] | None,
    typer.Option(help="Key that may also remove photos. Or set TMCIR_ADMIN_KEYS=a,b."),
]
AllowedHosts = Annotated[
    list[str] | None,
    typer.Option(help="Host name that requests may ask for, such as that of a proxy."),
]
CorsOrigins = Annotated[
    list[str] | None, typer.Option(help="Other site that may call the API; repeat for more.")
]


def serve(
    gallery: GalleryAddress,
    host: Annotated[
        str, typer.Option(help="Address to listen on; the default is this machine alone.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 8000,
    api_key: ApiKeys = None,
    admin_key: AdminKeys = None,
    without_key: Annotated[
        bool, typer.Option("--without-key", help="Let other machines search without a key.")
    ] = False,
    allowed_host: AllowedHosts = None,
    cors_origin: CorsOrigins = None,
    title: Annotated[str, typer.Option(help="Title of the page.")] = "Search",
    timeout: Annotated[float, typer.Option(help="Seconds that a request may take.")] = 30.0,
    maximum_upload: Annotated[
        int, typer.Option(min=1, help="Megabytes of a request with an image.")
    ] = 10,
    queue_size: Annotated[
        int, typer.Option(min=1, help="Searches at once; more get status 503.")
    ] = 64,
    batch_size: Annotated[int, typer.Option(min=1, help="Queries encoded at once.")] = 16,
    model: GalleryModel = None,
    exact_up_to: ExactUpTo = None,
    runtime: RuntimeName = "auto",
) -> None:
    """Serve a gallery: a page to search with, and an HTTP API.

    \b
    Example:
      tmcir serve shop --port 8000
    """
    from tmcir.service import (
        ADMIN_KEYS_VARIABLE,
        ServiceSettings,
        allowed_hosts,
        check_address,
        keys_from_environment,
        serve,
    )

    settings = ServiceSettings(
        title=title,
        api_keys=(*(api_key or []), *keys_from_environment()),
        admin_keys=(*(admin_key or []), *keys_from_environment(ADMIN_KEYS_VARIABLE)),
        cors_origins=tuple(cors_origin or ()),
        allowed_hosts=allowed_hosts(host, allowed_host or []),
        maximum_upload=maximum_upload * 2**20,
        timeout=timeout,
        queue_size=queue_size,
        batch_size=batch_size,
    )
    check_address(host, settings, without_key)
    opened = open_gallery(gallery, model, False, exact_up_to=exact_up_to, runtime=runtime)
    typer.echo(f"http://{host}:{port}/  ({len(opened):,} photos; Ctrl-C stops)", err=True)
    serve(opened, settings, host, port)
