"""`python -m chatcore`."""

from chatcore.cli import app

if __name__ == "__main__":
    app(prog_name="python -m chatcore")
