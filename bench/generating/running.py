"""Running the set against an endpoint, without a stack: the loop is that of the API, the calls go to the endpoint."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, cast

from bench.generating.cases import EvaluationCase, world
from bench.generating.scoring import Score, score
from pavo.errors import PavoError, Unavailable
from pavo.flows.generated.asking import MAX_OUTPUT
from pavo.flows.generated.examiner import ProposalExaminer
from pavo.flows.generated.generating import Generated, Wanted, generate
from pavo.flows.generated.prompt import Message
from pavo.llm.client import CallFailed, ClientLimits, ModelClient
from pavo.llm.model_endpoints import Endpoint
from pavo.llm.retrying import Patience, ask_patiently

PATIENCE: Final = Patience(tries=3, seconds=600)


@dataclass(slots=True)
class EndpointModel:
    """The model, for one case.

    Args:
        user: sent as `user`; None: nothing is.
    """

    client: ModelClient
    endpoint: Endpoint
    user: str | None = None
    max_tokens: int = MAX_OUTPUT
    tokens_in: int = field(default=0, init=False)
    tokens_out: int = field(default=0, init=False)

    @property
    def may_ask(self) -> bool:
        """There is always time."""
        return True

    async def ask(self, messages: Sequence[Message], number: int) -> Mapping[str, Any]:
        """The chat completion.

        Raises:
            Unavailable: there is none.
        """
        body: dict[str, Any] = {"model": self.endpoint.model, "messages": list(messages), "max_tokens": self.max_tokens}
        if self.user is not None:
            body["user"] = self.user
        try:
            answer = await ask_patiently(self.client, self.endpoint, body, PATIENCE)
        except CallFailed as failed:
            raise Unavailable(failed.detail, dependency="model", remedy=failed.remedy) from failed
        told: Any = answer.get("usage")
        used: Mapping[str, Any] = cast("Mapping[str, Any]", told) if isinstance(told, Mapping) else dict[str, Any]()
        self.tokens_in += _count(used.get("prompt_tokens"))
        self.tokens_out += _count(used.get("completion_tokens"))
        return answer


@dataclass(frozen=True, slots=True)
class Result:
    """Of one case."""

    case: EvaluationCase
    score: Score
    outcome: str
    """proposed, refused, failed, or `error`: the endpoint gave no answer."""
    rounds: int
    seconds: float
    tokens_in: int
    tokens_out: int
    told: str = ""
    """Why there is none."""


class Evaluation:
    """Runs cases, so many at once.

    Args:
        user: the `user` of a case's calls; None: none is sent.
    """

    def __init__(
        self,
        client: ModelClient,
        examiner: ProposalExaminer,
        endpoint: Endpoint,
        at_once: int,
        user: Callable[[EvaluationCase], str] | None = None,
        max_tokens: int = MAX_OUTPUT,
    ) -> None:
        self._client, self._examiner, self._endpoint = client, examiner, endpoint
        self._turns, self._user, self._offered = asyncio.Semaphore(at_once), user, world()
        self._max_tokens = max_tokens

    async def run(self, case: EvaluationCase) -> Result:
        """One of them."""
        user = self._user(case) if self._user is not None else None
        model = EndpointModel(self._client, self._endpoint, user, self._max_tokens)
        async with self._turns:
            begun, told = time.perf_counter(), ""
            try:
                wanted = Wanted(case.request, self._offered, case.before)
                generated = await generate(model, self._examiner.examine, wanted)
            except PavoError as error:
                generated, told = Generated("failed", 0), error.detail
            seconds = time.perf_counter() - begun
        outcome = "error" if told else generated.outcome
        told = told or next((f"{each.path}: {each.message}" for each in generated.problems), "")
        spent = (model.tokens_in, model.tokens_out)
        return Result(case, score(case, generated), outcome, generated.rounds, seconds, *spent, told)


@asynccontextmanager
async def opened(silence_seconds: float = 300.0) -> AsyncGenerator[tuple[ModelClient, ProposalExaminer]]:
    """What an evaluation needs."""
    client, examiner = ModelClient(ClientLimits(silence_seconds=silence_seconds)), ProposalExaminer()
    try:
        yield client, examiner
    finally:
        await examiner.close()
        await client.close()


def _count(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
