"""Graphs of steps on LangGraph, which is imported at first use or by `warm`: it takes seconds and 60 MB."""

import asyncio
import operator
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Final, Generic, TypedDict, TypeVar, cast

from chatcore.errors import ChatError, Unavailable
from chatcore.logs import get_logger

if TYPE_CHECKING:
    from langgraph.graph.state import CompiledStateGraph

log = get_logger("ai")
START: Final = "__start__"
Update = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Fault:
    """A step that did not come off, and its refusal's code and words."""

    step: str
    code: str
    message: str = field(default="", compare=False)


class Progress(TypedDict, total=False):
    """What the state of every flow has. `refusal` ends the flow; `faults` are what it went on without."""

    faults: Annotated[list[Fault], operator.add]
    refusal: ChatError


State = TypeVar("State", bound=Progress)


@dataclass(frozen=True, slots=True)
class Step(Generic[State]):
    """One node. `after` names the steps that it waits for; without `needed` the flow goes on when it fails.

    `run` gives what it adds to the state. `otherwise` is added in its place when it fails or takes longer.
    """

    name: str
    run: Callable[[State], Awaitable[Update]]
    after: list[str]
    seconds: float
    needed: bool = False
    otherwise: Update | None = None


class Flow(Generic[State]):
    """Steps compiled once. No checkpoints: a flow lives as long as its request, and nothing of it is kept."""

    def __init__(self, name: str, state: type[State], steps: Sequence[Step[State]]):
        self.name = name
        self._state, self._steps = state, tuple(steps)
        self._graph: CompiledStateGraph[Any, Any, Any, Any] | None = None
        self._compiling = asyncio.Lock()

    async def warm(self) -> None:
        """Import and compile in a thread, so that the first request need not."""
        async with self._compiling:
            if self._graph is None:
                self._graph = await asyncio.to_thread(self._compile)

    async def run(self, start: State) -> State:
        """The state at the end. Raises the refusal of a step that was needed."""
        if self._graph is None:
            await self.warm()
        assert self._graph is not None
        from langsmith import tracing_context  # noqa: PLC0415 - comes with LangGraph

        # Whatever the environment says: what people wrote is sent to no tracing service.
        with tracing_context(enabled=False):
            ended = cast("State", await self._graph.ainvoke(start) or {})
        refusal = cast("ChatError | None", ended.get("refusal"))
        if refusal is not None:
            raise refusal
        return ended

    def _compile(self) -> "CompiledStateGraph[Any, Any, Any, Any]":
        from langgraph.graph import StateGraph  # noqa: PLC0415 - see above

        graph: StateGraph[Any, Any, Any, Any] = StateGraph(self._state)
        for step in self._steps:
            graph.add_node(step.name, cast("Any", self._guarded(step)))
            if len(step.after) > 1 or step.after[0] == START:
                graph.add_edge(list(step.after) if len(step.after) > 1 else START, step.name)
        for step in self._steps:
            self._lead_on(graph, step)
        return graph.compile(name=self.name)

    def _lead_on(self, graph: Any, step: Step[State]) -> None:
        """A needed step that failed leads out of the graph."""
        from langgraph.graph import END  # noqa: PLC0415 - see above

        followers = [other.name for other in self._steps if other.after == [step.name]]
        joined = any(step.name in other.after for other in self._steps) and not followers
        if joined:
            assert not step.needed, "steps that another one waits for together can be done without"
        elif step.needed and followers:
            graph.add_conditional_edges(
                step.name, lambda state: END if state.get("refusal") else followers, [END, *followers]
            )
        else:
            for name in followers or [END]:
                graph.add_edge(step.name, name)

    def _guarded(self, step: Step[State]) -> Callable[[State], Awaitable[Update]]:
        """Within its time, and never failing: LangGraph's own time limits and error handlers would leave the edges of
        the failed node untaken, and a failure without them cancels the steps beside it."""

        async def node(state: State) -> Update:
            try:
                async with asyncio.timeout(step.seconds):
                    return await step.run(state)
            except Exception as error:  # noqa: BLE001 - the one funnel of the flows
                refusal = _refusal(error)
            log.info("ai_step_failed", command=self.name, job=step.name, reason=refusal.code)
            if step.needed:
                return {"refusal": refusal}
            return {"faults": [Fault(step.name, refusal.code, refusal.message)], **(step.otherwise or {})}

        return node


def _refusal(error: BaseException) -> ChatError:
    """Refusals stay what they are; too late is Unavailable; anything else is a fault of ours, and logged as one."""
    if isinstance(error, ChatError):
        return error
    if isinstance(error, TimeoutError):
        return Unavailable("This took too long; try again in a moment")
    log.error("ai_step_broken", error=type(error).__name__, exc_info=error)
    return Unavailable("This did not work out; try again in a moment")
