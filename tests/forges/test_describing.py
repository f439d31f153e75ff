"""The text of a pull request."""

from pavo.forges.describing import ChangedFile, Described, Verification, describe

URL = "https://pavo.example.com/jobs/1"
FILES = [ChangedFile("src/a`b.py", "modified", 3, 1)] * 101


def test_it_says_what_was_asked_done_and_verified() -> None:
    checks = [Verification("test", 0, 12.34), Verification("lint|`x`", 3, 1.0), Verification("slow", 143, 60.0, True)]
    text = describe(Described("Mend it.", "Mended.", checks, FILES, "Job 1", URL))
    for part in (
        "```text\nMend it.\n```",
        "```text\nMended.\n```",
        "| `test` | passed | 12.3 |",
        f"[Job 1, with its log]({URL})",
        "- modified `src/a b.py` (+3 −1)",
        "and 1 more",
    ):
        assert part in text
    assert "| `lint x ` | failed (3) |" in text and "| `slow` | too slow |" in text


def test_nobody_is_mentioned_and_nothing_closed() -> None:
    """Words of people and programs stay within their fences."""
    hostile = "```\n@everyone closes #1\n````\n</details>"
    text = describe(Described(hostile, "x" * 30_000, (), job="Job 1, attempt 2"))
    assert text.count("`````text") == 1 and "(cut here)" in text and "Nothing: the repository" in text
    assert f"`````text\n{hostile}\n`````" in text and len(text) < 25_000 and text.endswith("\n\nJob 1, attempt 2")
