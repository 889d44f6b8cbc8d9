"""``greenroom page``: open the page of the running instance, or print its address."""

from __future__ import annotations

from typing import Annotated

import typer

from greenroom.cli.options import plain_command
from greenroom.cli.page_client import UnreachableError, ask, open_page
from greenroom.desktop.instance import running
from greenroom.desktop.page_key import renew_key
from greenroom.errors import GreenroomError

__all__ = ["page"]


@plain_command
def page(
    *,
    print_address: Annotated[
        bool,
        typer.Option(
            "--print", help="Print the whole address, with the token, instead of opening it."
        ),
    ] = False,
    new_token: Annotated[
        bool,
        typer.Option(
            "--new-token", help="Make a new token first: every page that is open is refused then."
        ),
    ] = False,
) -> None:
    """Open the page of greenroom run in the web browser.

    Whoever has its address can see and change what is sent; it is new with every start. What is
    put on the browser's command line works once, and for you alone.
    """
    record = running()
    if record is None:
        if new_token:
            renew_key()
            typer.echo(
                "greenroom: greenroom does not run. When it does, pages that are still open are "
                "refused.",
                err=True,
            )
            return
        message = "greenroom does not run, so it has no page. To start it: greenroom run --open"
        raise GreenroomError(message)
    if not record.url:
        message = "greenroom is still starting, and has no page yet. Try again in a few seconds."
        raise GreenroomError(message)
    if new_token:
        try:
            answer = ask(record, "POST", "/api/token")
        except UnreachableError as error:
            message = f"no new token could be made: {error}"
            raise GreenroomError(message) from error
        token = answer.get("token") if isinstance(answer, dict) else ""
        record = record.model_copy(update={"url": f"{record.address}/#token={token}"})
    if print_address:
        typer.echo(record.url)
    else:
        open_page(record)
