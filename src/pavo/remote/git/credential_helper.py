"""Git's credential helper: asks the agent that runs git, over the socket that git's environment names.

Run as a file, with nothing but the standard library, so that it starts at once. It keeps nothing: `store` and `erase`
do nothing.
"""

import json
import os
import socket
import sys


def main() -> None:
    """As gitcredentials(7) has it."""
    if sys.argv[1:] != ["get"]:
        return
    asked: dict[str, str] = {}
    for line in sys.stdin:
        name, _, value = line.rstrip("\n").partition("=")
        asked[name] = value
    question = {
        "ticket": os.environ.get("PAVO_AGENT_TICKET", ""),
        "protocol": asked.get("protocol", ""),
        "host": asked.get("host", ""),
    }
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(40)
            connection.connect(os.environ.get("PAVO_AGENT_CREDENTIALS", ""))
            connection.sendall(json.dumps(question).encode() + b"\n")
            with connection.makefile("rb") as answer:
                found = json.loads(answer.readline() or b"{}")
    except (OSError, ValueError):
        found = {}
    if found:
        sys.stdout.write(f"username={found['username']}\npassword={found['password']}\n")
    else:
        sys.stdout.write("quit=1\n")  # or it asks on a terminal


if __name__ == "__main__":
    main()
