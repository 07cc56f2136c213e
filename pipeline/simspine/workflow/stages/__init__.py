"""The stages of the workflow, a page each: what to load, which function of `simspine.pipeline` to call, what to save.

Each has `plan(context) -> list[Task]`; nothing is read or computed before a task's work is called.
"""

import importlib
from collections.abc import Callable

from simspine.workflow.context import Context
from simspine.workflow.manifest import Task


def planner(stage: str) -> Callable[[Context], list[Task]]:
    """The function that lists a stage's tasks; imported here, so that each stage loads only what it needs."""
    return importlib.import_module(module_of(stage)).plan


def module_of(stage: str) -> str:
    """Name of the stage's module."""
    return f"{__name__}.{stage}"
