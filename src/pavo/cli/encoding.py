"""Whether a word of the command line or the environment is text, which can be sent, stored and printed."""


def is_text(word: str) -> bool:
    """Whether it has no surrogates, which Python puts in the place of bytes that are not UTF-8."""
    try:
        word.encode()
    except UnicodeEncodeError:
        return False
    return True


def escaped(word: str) -> str:
    """The word, with each byte that is not UTF-8 written as \\xff."""
    return word.encode(errors="surrogateescape").decode(errors="backslashreplace")
