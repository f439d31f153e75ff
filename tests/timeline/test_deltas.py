"""Deltas: whatever is lost, late or cut, what a viewer sees is the beginning of what was said, never twice."""

import json
import uuid
from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from pavo.kit.clock import now
from pavo.tasks import events
from pavo.timeline.delta_viewer import Budget, DeltaViewer
from pavo.timeline.deltas import NO_STEP, RECORDED, SUPERSEDED, Live, Said, over_message
from pavo.timeline.domain import Event, NewEvent
from pavo.timeline.merge import merged

TIMELINE = uuid.uuid4()


def test_texts_are_joined_and_of_other_members_the_last_one_holds() -> None:
    assert merged(None, {"text": "a"}) == {"text": "a"}
    assert merged({"text": "a", "n": 1}, {"text": "b", "n": 2}) == {"text": "ab", "n": 2}
    assert merged({"text": "a"}, {"n": 2}) == {"text": "a", "n": 2}
    assert merged({"text": 1}, {"text": "b"}) == {"text": "b"}


def test_another_text_takes_the_place_of_the_one_before() -> None:
    assert merged({"text": "a", "n": 1}, {"text": "b", "anew": 1}) == {"text": "b", "anew": 1}
    assert merged({"text": "a", "anew": 1}, {"text": "b", "anew": 1}) == {"text": "ab", "anew": 1}
    assert merged({"text": "a", "anew": 1}, {"text": "b"}) == {"text": "ab", "anew": 1}
    assert merged({"text": "a", "anew": 1}, {"text": "b", "anew": "2"})["text"] == "ab", "no number is another one"


def test_viewers_are_sent_another_text_from_its_beginning() -> None:
    live, said = Live(), Said(1, 1)
    for text, number in (("half an ans", 1), ("", 2), ("another, and a longer one", 2)):
        part = {"model_text": {"text": text, "anew": number}}
        said.add(part)
        mark = live.mark
        assert live.take(orjson.loads(said.message(part)))
        [(_, shown)] = frames_of(live.frames(mark))
        [delta] = shown["deltas"]
        assert (delta["offset"], delta["data"]["text"]) == (0, text)
    mark, more = live.mark, {"model_text": {"text": " still", "anew": 2}}
    said.add(more)
    live.take(orjson.loads(said.message(more)))
    [(_, shown)] = frames_of(live.frames(mark))
    assert shown["deltas"][0]["offset"] == len("another, and a longer one")


def frames_of(data: bytes) -> list[tuple[str, dict[str, Any]]]:
    found: list[tuple[str, dict[str, Any]]] = []
    for frame in data.decode().split("\n\n")[:-1]:
        name, line = frame.split("\n")
        found.append((name.removeprefix("event: "), json.loads(line.removeprefix("data: "))))
    return found


class World:
    """A worker's attempts, what is recorded, what Redis has and carries, and an API that follows."""

    def __init__(self) -> None:
        self.attempt, self.step, self.alive = 1, 1, True
        self.said: Said | None = None
        self.told: list[str] = []
        """All that any attempt said in the present step, longest first where one begins with the other."""
        self.recorded: list[Event] = []
        self.texts: dict[int, str] = {}
        self.kept: bytes | None = None
        self.newest = 0
        """The attempt that spoke last, as Redis knows."""
        self.zombie: Said | None = None
        self.bus: list[bytes] = []
        self.live = Live()

    def publish(self, attempt: int, message: bytes, kept: bytes | None) -> None:
        """What `publish._SAY` does."""
        if attempt < self.newest:
            return
        self.newest, self.kept = attempt, kept
        self.bus.append(message)

    def emit(self, text: str) -> None:
        if not self.alive:
            return
        if self.said is None:
            self.said = Said(self.attempt, self.step)
        more = {"text": {"text": text}}
        self.said.add(more)
        self.told.append(self.said.parts["text"]["text"])
        self.publish(self.attempt, self.said.message(more), self.said.kept())

    def record(self) -> None:
        if not self.alive:
            return
        self.texts[self.step] = self.said.parts["text"]["text"] if self.said else ""
        event = events.tick(self.step, self.step, None)
        self.recorded.append(Event(TIMELINE, len(self.recorded) + 1, event.type, now(), event.data))
        if self.said is not None:
            self.publish(self.attempt, over_message(self.attempt, self.step, RECORDED), None)
        self.said, self.told, self.step = None, [], self.step + 1

    def end(self) -> None:
        """In order."""
        if self.alive and self.said is not None:
            self.publish(self.attempt, over_message(self.attempt, self.step, SUPERSEDED), None)
        self.die()

    def die(self) -> None:
        """Without a word; it may wake up, and go on as if nothing had happened."""
        self.zombie = self.said or self.zombie
        self.alive, self.said = False, None

    def wake(self) -> None:
        """An attempt that was taken for dead says more."""
        if self.zombie is not None and not (self.alive and self.zombie.attempt == self.attempt):
            more = {"text": {"text": "zombie"}}
            self.zombie.add(more)
            if self.zombie.attempt == self.attempt:
                self.told.append(self.zombie.parts["text"]["text"])
            self.publish(self.zombie.attempt, self.zombie.message(more), self.zombie.kept())

    def forget(self) -> None:
        """Redis begins anew, empty."""
        self.kept = None
        self.read()

    def begin(self) -> None:
        if self.alive:
            return
        self.attempt, self.alive = self.attempt + 1, True
        self.publish(self.attempt, over_message(self.attempt - 1, NO_STEP, SUPERSEDED), None)

    def deliver(self) -> None:
        if self.bus and not self.live.take(orjson.loads(self.bus.pop(0))):
            self.read()

    def lose(self) -> None:
        if self.bus:
            self.bus.pop(0)

    def read(self) -> None:
        self.live.read(None if self.kept is None else orjson.loads(self.kept))


class Client:
    """A viewer as anybody would write it; it reconnects where it was."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.seen = 0
        self.shown: tuple[int, int, str] | None = None
        self.connect()

    def connect(self) -> None:
        """What it showed stays on the screen until it is told again, from its beginning."""
        self.shown = None
        newest = [events.settles(event.as_json()) for event in self.world.recorded]
        self.viewer = DeltaViewer(Budget(10**6, 10**9), events.settles, newest[-1] or 0 if newest else 0)
        self.viewer.begin(self.take, lambda: 0)

    def events(self) -> None:
        """All events that it lacks."""
        new = self.world.recorded[self.seen :]
        self.viewer.pass_by([(event.seq, event.as_json()) for event in new])
        for event in new:
            self.seen = event.seq
            if self.shown is not None and self.shown[1] <= event.data["step"]:
                self.shown = None

    def look(self) -> None:
        """Deltas are shown to those alone that have the events, as the server knows of them."""
        self.events()
        self.viewer.show(self.world.live)

    def take(self, data: bytes) -> bool:
        for name, frame in frames_of(data):
            if name == "superseded":
                if self.shown is not None and self.shown[:2] <= (frame["attempt"], frame["step"]):
                    self.shown = None
                continue
            (delta,) = frame["deltas"]
            place, text = (frame["attempt"], frame["step"]), delta["data"]["text"]
            assert frame["step"] > self.seen, "what is recorded is shown no more"
            if delta["offset"]:
                assert self.shown is not None and self.shown[:2] == place, "it goes on with what is shown"
                assert len(self.shown[2]) == delta["offset"]
                text = self.shown[2] + text
            else:
                assert self.shown is None, "what is shown begins anew without being taken back"
            self.shown = (*place, text)
        return True

    def check(self) -> None:
        if self.shown is None or self.shown[1] != self.world.step:
            return
        assert any(told.startswith(self.shown[2]) for told in self.world.told)


OPERATIONS = ["emit", "record", "end", "die", "begin", "wake", "deliver", "lose", "forget", "read"]
OPERATIONS += ["look", "events", "connect", "late"]


@settings(max_examples=400, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(OPERATIONS), st.text("ab", min_size=1, max_size=3)), max_size=60))
def test_no_interleaving_shows_a_text_twice_or_another_one(operations: list[tuple[str, str]]) -> None:
    world = World()
    clients = [Client(world)]
    for name, text in operations:
        if name == "emit":
            world.emit(text)
        elif name == "late":
            clients.append(Client(world))
        elif name in ("look", "events", "connect"):
            getattr(clients[len(text) % len(clients)], name)()
        else:
            getattr(world, name)()
        for client in clients:
            client.check()
    finish(world, clients)


def finish(world: World, clients: list[Client]) -> None:
    """Redis is there again, the work goes on: everybody ends with the same."""
    world.begin()
    world.emit("the end")
    for _ in range(len(world.bus)):
        world.deliver()
    world.read()
    assert world.said is not None
    whole = world.said.parts["text"]["text"]
    for client in clients:
        client.look()
        assert client.shown == (world.attempt, world.step, whole)
    world.record()
    for _ in range(len(world.bus)):
        world.deliver()
    for client in clients:
        client.look()
        assert client.shown is None and client.seen == world.step - 1


def test_other_members_come_as_they_stand_and_only_what_changed_is_sent() -> None:
    said, live = Said(3, 5), Live()
    for more in ({"text": {"text": "Hel"}}, {"state": {"busy": True, "n": 1}}):
        said.add(more)
        assert live.take(orjson.loads(said.message(more)))
    mark = live.mark
    more = {"state": {"n": 2}, "text": {"text": "lo"}}
    said.add(more)
    assert live.take(orjson.loads(said.message(more)))
    assert frames_of(live.frames(mark)) == [
        (
            "delta",
            {
                "attempt": 3,
                "step": 5,
                "deltas": [
                    {"type": "text", "offset": 3, "data": {"text": "lo"}},
                    {"type": "state", "data": {"busy": True, "n": 2}},
                ],
            },
        )
    ]
    assert live.frames(live.mark) == b"" and live.frames(mark) is live.frames(mark), "made once for all viewers"


def settles(event: NewEvent) -> int | None:
    return events.settles(Event(TIMELINE, 7, event.type, now(), event.data).as_json())


def test_what_events_settle() -> None:
    assert settles(events.tick(9, 4, None)) == 4
    assert settles(events.plan(uuid.uuid4(), 1, "x")) == 0 and settles(events.stage("EXECUTING")) == 0
    assert settles(events.stage("PLANNING")) == -1
    assert settles(events.stage("STOPPED")) == NO_STEP > (settles(events.report(uuid.uuid4())) or 0) > 10**6
    assert settles(NewEvent("chapter", {"type_": "tick", "text": '{"seq":1,"type":"tick"'})) is None


def test_a_viewer_that_takes_nothing_holds_one_frame_and_gets_the_rest_at_once() -> None:
    budget, world, waits, got = Budget(1_000, 100_000), World(), [0], list[bytes]()
    viewer = DeltaViewer(budget, events.settles, 0)

    def write(data: bytes) -> bool:
        if waits[0]:
            return False
        got.append(data)
        waits[0] = len(data)
        return True

    viewer.begin(write, lambda: waits[0])
    for _ in range(50):
        world.emit("x" * 100)
        world.deliver()
        viewer.show(world.live)
    assert len(got) == 1 and budget.held == len(got[0])
    waits[0] = 0
    assert viewer.show(world.live) and len(got) == 2
    assert frames_of(got[1])[0][1]["deltas"][0]["offset"] == 100
    assert len(frames_of(got[1])[0][1]["deltas"][0]["data"]["text"]) == 4_900
    waits[0] = 0
    viewer.release()
    assert budget.held == 0


def test_where_the_budget_is_half_used_deltas_are_left_out_first() -> None:
    budget, world, got = Budget(1_000, 1_000), World(), list[bytes]()
    viewer = DeltaViewer(budget, events.settles, 0)
    viewer.begin(lambda data: bool(got.append(data)) or True, lambda: 0)
    held = b"x" * 500
    budget.hold(held)
    world.emit("hello")
    world.deliver()
    assert not viewer.show(world.live) and not got, "it is to be tried again"
    budget.release([(1, held)])
    assert viewer.show(world.live) and got
