"""Takes docs/images/page.png: a running stack's page with a task in mid-execution.

    pavo up --ephemeral --detach --data-dir /tmp/shot
    python tools/screenshot.py --url http://127.0.0.1:8000 --data-dir /tmp/shot

With --data-dir it kills that stack's worker on the way, so that the picture shows the task going on.
"""

import argparse
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import Page, expect, sync_playwright

ROOT = Path(__file__).parent.parent
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
MAX_BYTES = 200_000
PROMPT = "Why do customers of the Basic plan leave after their third month?"
OTHERS = (("Summarize the support tickets of October", 5), ("Draft the pricing memo", 0))


def create(page: Page, title: str, agent: str, steps: int) -> None:
    """Create a task by the form, and wait until its plan is open for review."""
    page.get_by_role("link", name="New task").first.click()
    page.get_by_label("Title").fill(title)
    page.get_by_label("Prompt").fill(PROMPT)
    page.locator("#agent").select_option(agent)
    page.get_by_text("Options of the agent").click()
    page.get_by_label("Steps", exact=True).fill(str(steps or 20))
    page.get_by_role("button", name="Create and plan").click()
    expect(page.get_by_role("button", name="Accept plan")).to_be_visible()


def walk(page: Page, data_dir: Path | None) -> None:
    """Leave one task done, one in review and one running, its worker killed and replaced."""
    for title, steps in OTHERS:
        create(page, title, "intern", steps)
        if steps:
            page.get_by_role("button", name="Accept plan").click()
            expect(page.locator(".task [data-stage=DONE]")).to_be_visible()
    create(page, "Analyze churn drivers", "tribal_search", 200)
    page.get_by_role("button", name="Comment on step 4").click()
    page.get_by_label("Comment on step 4").fill("Check the numbers against last quarter's, too.")
    page.get_by_role("button", name="Save comment").click()
    page.get_by_role("button", name="Done reviewing").click()
    expect(page.get_by_role("heading", name="Plan v2")).to_be_visible()
    page.get_by_role("button", name="Accept plan").click()
    reach(page, 60)
    if data_dir is not None:
        os.kill(worker_pid(data_dir), signal.SIGKILL)
        expect(page.get_by_text(re.compile("Went on after step"))).to_be_visible()
    reach(page, 128)


def reach(page: Page, step: int) -> None:
    """Wait until the running task has this many steps."""
    least = "|".join(str(number) for number in range(step, 200))
    expect(page.locator(".progress p")).to_have_text(re.compile(rf"^({least}) of 200"))


def worker_pid(data_dir: Path) -> int:
    """The first worker of the stack with this data directory."""
    command = [sys.executable, "-m", "pavo.cli.main", "status", "--data-dir", str(data_dir), "-o", "json"]
    parts = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)["parts"]
    return next(part["pid"] for part in parts if part["name"].startswith("worker"))


def main() -> None:
    """Take the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="http://127.0.0.1:8000", help="where the stack's page is")
    parser.add_argument("--data-dir", type=Path, help="the stack's data directory: its worker is killed on the way")
    parser.add_argument("--out", type=Path, default=ROOT / "docs/images/page.png")
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    parser.add_argument("--dark", action="store_true", help="the dark colours")
    options = parser.parse_args()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=options.chromium, args=FLAGS)
        page = browser.new_page(
            viewport={"width": 1320, "height": 860},
            color_scheme="dark" if options.dark else "light",
            reduced_motion="reduce",
        )
        page.set_default_timeout(30_000)
        expect.set_options(timeout=30_000)
        page.goto(options.url)
        walk(page, options.data_dir)
        options.out.parent.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=options.out)
        browser.close()
    size = options.out.stat().st_size
    print(f"{options.out}: {size:,} bytes")
    if size > MAX_BYTES:
        sys.exit(f"Larger than {MAX_BYTES:,} bytes.")


if __name__ == "__main__":
    main()
