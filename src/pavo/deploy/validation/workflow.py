"""The workflow that proves an installation: each thing in turn, noted with its time or its cause."""

from collections.abc import Awaitable, Callable

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, ChildWorkflowError, FailureError

with workflow.unsafe.imports_passed_through():
    import pavo.deploy.validation.contracts as c


@workflow.defn(name=c.CHILD_TYPE)
class ValidationChild:
    """The child: its answer shows that it ran."""

    @workflow.run
    async def run(self, number: int) -> int:
        """Answers the number plus one."""
        return number + 1


@workflow.defn(name=c.WORKFLOW_TYPE)
class Validation:
    """Two runs: the first tries everything, the second shows that it was continued."""

    @workflow.init
    def __init__(self, request: c.ValidationInput) -> None:
        self._request = request
        self._proven = list(request.proven)
        self._signalled: float | None = None
        self._updated: float | None = None
        self._waiting = False
        self._released = False

    @workflow.run
    async def run(self, request: c.ValidationInput) -> c.Proof:
        """Answers what was proved; a failure of one thing does not keep the others from being tried."""
        if request.continued_at is None:
            await self._first_run()
        else:
            self._note(c.CONTINUE_AS_NEW, request.continued_at)
        if request.hold:
            await self._stay_in_flight()
        return c.Proof(tuple(self._proven), self._released)

    async def _first_run(self) -> None:
        for name, attempt in (
            (c.ACTIVITY, self._activity),
            (c.TIMER, self._timer),
            (c.CHILD, self._child),
            (c.DATABASE, self._database),
            (c.RETRY, self._retry),
        ):
            await self._prove(name, attempt)
        await self._hear()
        await workflow.wait_condition(workflow.all_handlers_finished)
        workflow.continue_as_new(
            c.ValidationInput(
                self._request.scratch_id, self._request.hold, tuple(self._proven), continued_at=workflow.time()
            )
        )

    async def _prove(self, name: str, attempt: Callable[[], Awaitable[None]]) -> None:
        begun = workflow.time()
        try:
            await attempt()
        except (ActivityError, ChildWorkflowError, ApplicationError) as error:
            self._note(name, begun, _cause(error))
        else:
            self._note(name, begun)

    def _note(self, name: str, begun: float, cause: str | None = None) -> None:
        self._proven.append(c.Proven(name, workflow.time() - begun, cause))

    async def _activity(self) -> None:
        word = workflow.info().run_id
        answer = await workflow.execute_activity_method(c.ValidationActivities.echo, word, **c.QUICK)
        _expect(answer == word, f"it answered {answer!r}")

    async def _timer(self) -> None:
        begun = workflow.time()
        await workflow.sleep(c.TIMER_SECONDS)
        late = workflow.time() - begun - c.TIMER_SECONDS.total_seconds()
        _expect(late >= 0, f"it fired {-late:.3f} s too early: the server's clock jumps")

    async def _child(self) -> None:
        answer = await workflow.execute_child_workflow(
            ValidationChild.run, 1, id=f"{workflow.info().workflow_id}-child", execution_timeout=c.CHILD_TIMEOUT
        )
        _expect(answer == 2, f"it answered {answer}")

    async def _database(self) -> None:
        scratch = self._request.scratch_id
        read = await workflow.execute_activity_method(c.ValidationActivities.write_and_read, scratch, **c.QUICK)
        _expect(read == 2, f"{read} of 2 committed events were read")

    async def _retry(self) -> None:
        attempt = await workflow.execute_activity_method(c.ValidationActivities.fail_first, **c.QUICK)
        _expect(attempt == 2, f"it succeeded at attempt {attempt} instead of the second")

    async def _hear(self) -> None:
        """Wait for the signal and the update, which the runner sends at any time after the start."""
        begun = workflow.time()
        for name, heard in ((c.SIGNAL, lambda: self._signalled), (c.UPDATE, lambda: self._updated)):
            try:
                await workflow.wait_condition(lambda heard=heard: heard() is not None, timeout=c.HEARING_TIMEOUT)
            except TimeoutError:
                self._note(name, begun, f"none arrived within {c.HEARING_TIMEOUT.total_seconds():.0f} s")
            else:
                self._note(name, begun)

    async def _stay_in_flight(self) -> None:
        self._waiting = True
        await workflow.sleep(c.HOLD_SECONDS)
        await workflow.wait_condition(lambda: self._released, timeout=c.RELEASE_TIMEOUT)
        self._waiting = False

    @workflow.signal(name="nudge")
    def nudge(self) -> None:
        """The signal that is proved."""
        self._signalled = workflow.time()

    @workflow.signal(name="release")
    def release(self) -> None:
        """Let a run that was left in flight end."""
        self._released = True

    @workflow.update(name="double")
    def double(self, number: int) -> int:
        """The update that is proved; answers twice the number."""
        self._updated = workflow.time()
        return 2 * number

    @double.validator
    def check_double(self, number: int) -> None:
        """Refuses negative numbers, so that a refusal is proved as well."""
        if number < 0:
            raise ApplicationError("A negative number is refused.", type=c.REFUSED, non_retryable=True)

    @workflow.query(name="progress")
    def progress(self) -> c.Progress:
        """The query that is proved."""
        return c.Progress(tuple(proven.name for proven in self._proven), self._waiting)


def _expect(kept: bool, otherwise: str) -> None:
    if not kept:
        raise ApplicationError(otherwise, non_retryable=True)


def _cause(error: FailureError) -> str:
    """The innermost message: the outer ones only say that something failed."""
    innermost: BaseException = error
    while isinstance(innermost, FailureError) and innermost.cause is not None:
        innermost = innermost.cause
    return innermost.message if isinstance(innermost, FailureError) else str(innermost)
