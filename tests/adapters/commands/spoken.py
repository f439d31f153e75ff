"""A program that does what its task's options say, and agents that run it."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from pavo.adapters import CommandAgent
from pavo.agents.contract import AgentContext

PROGRAM = """
import json, os, signal, subprocess, sys, time
def say(**line):
    print(json.dumps(line), flush=True)
def hear():
    return json.loads(sys.stdin.readline())
def asked(**line):
    say(**line)
    while (heard := hear())["type"] == "stop":
        pass
    return heard
def plan(start):
    steps = [{"title": "Look", "detail": start["prompt"]}]
    if start["work"] == "plan":
        say(type="plan", summary="Mine", steps=steps)
    else:
        answers = {each["id"]: "Yes: " + each["body"] for each in start["feedback"]}
        say(type="plan", summary=start["plan"]["summary"] + " again", steps=steps, answers=answers)
def words(start):
    words = start["plan"]["steps"][0]["detail"].split()
    for n in range((start["checkpoint"] or {"n": 0})["n"], len(words)):
        print("working at", words[n], file=sys.stderr)
        events = [{"type": "word", "data": {"word": words[n]}}]
        heard = asked(type="step", checkpoint={"n": n + 1}, total=len(words), events=events, messages=[{"w": n}])
        assert heard["type"] == "recorded", heard
    say(type="done", report=f"{len(words)} words")
def asks(start):
    if start["checkpoint"] is None:
        say(type="emit", name="thinking", data={"text": "hm"})
        color = asked(type="ask", key="color", question="Which?", choices=["red", "blue"])["value"]
        grams = asked(type="call", tool="weigh", args={"what": "wren"})["value"]
        failed = asked(type="call", tool="none_such")["error"]["code"]
        kept = asked(type="artifact", name="a.txt", text="hello")["value"]
        asked(type="artifact", name="b.bin", base64="AAE=")
        hits = asked(type="search", query="wren")["value"]
        said = asked(type="messages")["value"]
        found = [color, grams, failed, kept["bytes"], [hit["title"] for hit in hits], said]
        asked(type="step", checkpoint=found)
    else:
        found = start["checkpoint"]
    say(type="done", report=json.dumps(found))
def family(start):
    sleep = [sys.executable, "-c", "import time; time.sleep(60)"]
    children = [subprocess.Popen(sleep), subprocess.Popen(sleep, start_new_session=True)]
    say(type="step", checkpoint=[os.getpid(), *(child.pid for child in children)])
    time.sleep(60)
def leaves(start):
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(30)"])
    say(type="step", checkpoint=1)
    sys.exit(4)
def flood(start):
    while True:
        say(type="emit", name="x", data={})
def raw(text):
    def write(start):
        sys.stdout.write(text)
        sys.stdout.flush()
        time.sleep(30)
    return write
def deaf(start):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    say(type="step", checkpoint=[os.getpid()])
    while True:
        time.sleep(1)
def binary(start):
    sys.stdout.buffer.write(b"\\x00\\xff\\n")
    sys.stdout.flush()
    time.sleep(30)
def twice(start):
    for _ in range(2):
        say(type="step", checkpoint="same")
    say(type="done")
def stops(start):
    say(type="step", checkpoint=1)
    assert hear()["type"] == "recorded"
    assert hear() == {"type": "stop"}
    say(type="step", checkpoint=2)
    time.sleep(30)
def closes(start):
    os.close(1)
    time.sleep(30)
WAYS = {
    "words": words, "asks": asks, "family": family, "leaves": leaves, "flood": flood,
    "large": lambda start: (say(type="done", report="x" * 900_000), sys.exit(0)),
    "closes": closes, "deaf": deaf, "binary": binary, "twice": twice, "stops": stops,
    "exit": lambda start: sys.exit(3),
    "signal": lambda start: os.kill(os.getpid(), signal.SIGSEGV),
    "half": lambda start: (sys.stdout.write('{"type": "st'), sys.stdout.flush(), sys.exit(0)),
    "hangs": lambda start: time.sleep(30),
    "garbage": raw("Loading ...\\n"),
    "list": raw("[1]\\n"),
    "long": raw("x" * 11_000_000),
    "unknown": raw('{"type": "progress"}\\n'),
    "wrong_work": raw('{"type": "plan", "summary": "S", "steps": []}\\n'),
    "lacks": raw('{"type": "step"}\\n'),
    "strange": raw('{"type": "step", "checkpoint": 1, "progres": 2}\\n'),
    "events": raw('{"type": "step", "checkpoint": 1, "events": 7}\\n'),
    "messages": raw('{"type": "step", "checkpoint": 1, "messages": [7]}\\n'),
    "numbers": raw('{"type": "step", "checkpoint": 1, "progress": "7"}\\n'),
    "reserved": raw('{"type": "step", "checkpoint": 1, "events": [{"type": "stage"}]}\\n'),
    "report": raw('{"type": "done", "report": 7}\\n'),
    "key": raw('{"type": "ask", "key": 7, "question": "?"}\\n'),
    "content": raw('{"type": "artifact", "name": "a", "text": "a", "path": "b"}\\n'),
}
start = hear()
assert start["type"] == "start" and start["protocol"] == 1, start
assert ("PAVO_GATEWAY_TOKEN" in os.environ) == (start["options"]["how"] == "environment")
if start["options"]["how"] == "environment":
    say(type="done", report=json.dumps([os.environ["PAVO_GATEWAY_URL"], os.environ["OPENAI_API_KEY"]]))
elif start["work"] == "execute":
    WAYS[start["options"]["how"]](start)
else:
    plan(start)
"""


class Spoken(CommandAgent):
    """Plans by default."""

    name = "spoken"
    options_schema: ClassVar[Mapping[str, Any]] = {"type": "object", "properties": {"how": {"type": "string"}}}
    asks_models = False
    quiet_seconds = 20.0
    most_lines = 2_000

    def program(self, ctx: AgentContext) -> Sequence[str]:
        return (sys.executable, "-c", PROGRAM)


class Hasty(Spoken):
    """Its program must say something at once."""

    name = "hasty"
    quiet_seconds = 0.5


class Planning(Spoken):
    """Its program plans."""

    name = "planning"
    plans = True


class WithModels(Spoken):
    """It is given the gateway."""

    name = "with_models"
    asks_models = True


class Missing(CommandAgent):
    """No such program."""

    name = "missing"
    command = ("/nowhere/at-all",)
    asks_models = False
