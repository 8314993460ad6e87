"""A generic tree of supervised tasks: ordered start, restarts within a budget, hangs noticed, ordered stop.

It knows nothing of what it runs. The composition root builds a `Tree` from `Child` values and a `StopPlan`.
"""

from oris.supervisor.budget import RestartBudget
from oris.supervisor.child import Child, ChildRun, OnFailure
from oris.supervisor.handle import Handle
from oris.supervisor.plan import Step, StopPlan
from oris.supervisor.report import (
    ChildFault,
    ChildState,
    ChildStatus,
    EventKind,
    Outcome,
    TreeState,
    TreeStatus,
    one_line,
)
from oris.supervisor.tree import Tree

__all__ = [
    "Child",
    "ChildFault",
    "ChildRun",
    "ChildState",
    "ChildStatus",
    "EventKind",
    "Handle",
    "OnFailure",
    "Outcome",
    "RestartBudget",
    "Step",
    "StopPlan",
    "Tree",
    "TreeState",
    "TreeStatus",
    "one_line",
]
