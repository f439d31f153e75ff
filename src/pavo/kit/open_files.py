"""How many files, that is connections too, this process may have open."""

import logging
import resource

logger = logging.getLogger(__name__)


def allow_open_files(needed: int) -> int:
    """Raise this process' soft limit of open files to `needed`, or as far as the hard limit lets it.

    Most systems begin with 1,024, which a thousand viewers use up; later ones would not even be refused.

    Returns: the limit that holds now; one too low is logged.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if _reaches(soft, needed):
        return soft
    wanted = needed if _reaches(hard, needed) else hard
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError) as error:  # the kernel may have a lower limit than it says
        logger.warning("The limit of open files cannot be raised from %s to %s: %s", soft, wanted, error)
        return soft
    if wanted != needed:
        logger.warning(
            "Only %s files may be open at once, and %s are needed to serve as many requests as allowed. "
            "Raise the hard limit: ulimit -Hn, LimitNOFILE= of systemd, --ulimit nofile of Docker.",
            wanted,
            needed,
        )
    return wanted


def _reaches(limit: int, needed: int) -> bool:
    return limit == resource.RLIM_INFINITY or limit >= needed
