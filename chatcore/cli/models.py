"""`python -m chatcore models ...`: the small models that ship with the server."""

import typer

app = typer.Typer(help="The models that work without a key.", no_args_is_help=True)


@app.command()
def check() -> None:
    """Hash every file of the models anew; ends with 1 when one is missing or changed."""
    from chatcore.models.files import check_files  # noqa: PLC0415

    checked = check_files()
    for file in checked:
        print(f"{file.problem or 'good':<10} {file.bytes:>10,} bytes  {file.sha256[:12]:<12}  {file.name}")
    if any(file.problem for file in checked):
        raise typer.Exit(1)


@app.callback()
def models() -> None:
    """Keeps `check` a command of its own beside those that come."""
