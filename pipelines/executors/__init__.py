"""Executors: inline, process, dask. A job names one; what it answers is judged in the same way."""

from pipelines.executors.protocol import LOG, OUTPUT, REQUEST, Ended, Execution, Executor

__all__ = ["LOG", "OUTPUT", "REQUEST", "Ended", "Execution", "Executor"]
