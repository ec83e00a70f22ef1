"""`python -m chatcore web ...`: the libraries of the page at `/`."""

import typer

app = typer.Typer(help="The page at / and its libraries.", no_args_is_help=True)


@app.command()
def install() -> None:
    """Fetch the page's libraries from npm at their locked versions. Safe to repeat; ends with 1 where it cannot."""
    from chatcore.settings import load_settings  # noqa: PLC0415
    from chatcore.web.libraries import CannotInstall, install, versions  # noqa: PLC0415

    try:
        install(load_settings().web_libraries)
    except CannotInstall as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
    wanted = ("preact", "@preact/signals", "htm", "socket.io-client")
    print("page: " + ", ".join(f"{name} {version}" for name, version in versions().items() if name in wanted))


@app.callback()
def web() -> None:
    """Keeps `install` a command of its own beside those that come."""
