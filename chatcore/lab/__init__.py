"""The workbench: what a notebook and a pipeline may import."""
