"""`export`: conversations of those who agreed, from the running server into a folder."""

from pathlib import Path
from typing import Annotated

import typer

from chatcore.lab.admin import LinkLost
from chatcore.lab.surroundings import ChatError
from pipelines.console import ERROR, app, err, out


@app.command()
def export(
    folder: Annotated[Path, typer.Argument(help="where to write it; nothing may be there yet")],
    purpose: Annotated[str, typer.Option(help="what for: the audit of the server keeps it")],
    group: Annotated[list[str] | None, typer.Option(help="only these groups; may be repeated")] = None,
    days: Annotated[int, typer.Option(min=1, max=30, help="until it can be read no more")] = 30,
) -> None:
    """Fetch conversations for research, under pseudonyms; read them as export:FOLDER. For the role analyst."""
    if folder.exists() and any(folder.iterdir() if folder.is_dir() else [folder]):
        err.print(f"{folder} is not empty: give a new folder", markup=False, highlight=False)
        raise typer.Exit(ERROR)
    from chatcore.lab.decisions import LedgerNotThere  # noqa: PLC0415 - pandas and the server, for this command alone
    from chatcore.lab.exporting import export as fetch  # noqa: PLC0415

    try:
        made = fetch(folder, purpose=purpose, groups=group, days=days)
    except (ChatError, LinkLost, LedgerNotThere) as error:
        err.print(f"not exported: {getattr(error, 'message', error)}", markup=False, highlight=False)
        raise typer.Exit(ERROR) from None
    told = made.manifest
    out.print(f"{told.messages:,} messages of {told.groups:,} groups in {made.folder}", highlight=False, markup=False)
    for what, counts in (("left out", told.left_out), ("redacted", told.redacted)):
        said = ", ".join(f"{count:,} {name}" for name, count in sorted(counts.items())) or "nothing"
        out.print(f"{what}: {said}", highlight=False, markup=False)
    out.print(f"readable until {told.expires_at[:10]} as {made.name}", highlight=False, markup=False)
