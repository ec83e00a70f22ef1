"""`python -m pipelines`."""

from pipelines.commands import main

if __name__ == "__main__":
    main()
