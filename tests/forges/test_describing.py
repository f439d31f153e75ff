"""The text of a pull request."""

from pavo.forges.describing import Described, Verification, describe

URL = "https://pavo.example.com/jobs/1"


def test_it_says_what_was_asked_done_and_verified() -> None:
    checks = [Verification("test", 0, 12.34), Verification("lint|`x`", 3, 1.0), Verification("slow", 143, 60.0, True)]
    text = describe(Described("Mend it.", "Mended.", checks, URL))
    for part in ("```text\nMend it.\n```", "```text\nMended.\n```", "| `test` | passed | 12.3 |", f"]({URL})"):
        assert part in text
    assert "| `lint x ` | failed (3) |" in text and "| `slow` | too slow |" in text


def test_nobody_is_mentioned_and_nothing_closed() -> None:
    """Words of people and programs stay within their fences."""
    hostile = "```\n@everyone closes #1\n````\n</details>"
    text = describe(Described(hostile, "x" * 30_000, (), ""))
    assert text.count("`````text") == 1 and "(cut here)" in text and "Nothing: the repository" in text
    assert f"`````text\n{hostile}\n`````" in text and len(text) < 25_000 and "The job" not in text
