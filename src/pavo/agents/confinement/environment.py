"""The environment of agents' processes: what programs need in general, and what an operator names; nothing else."""

import os
from collections.abc import Iterable
from typing import Final

_NEEDED: Final = frozenset(
    {
        *("PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "TMPDIR", "VIRTUAL_ENV"),
        *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
        *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy", "no_proxy"),
        *("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "DYLD_FALLBACK_LIBRARY_PATH"),
        *("PYTHONHOME", "PYTHONPATH", "PYTHONNOUSERSITE", "PYTHONUSERBASE", "PYTHONPYCACHEPREFIX", "PYTHONTZPATH"),
        *("PYTHONDONTWRITEBYTECODE", "PYTHONUTF8", "PYTHONIOENCODING", "PYTHONWARNINGS", "PYTHONFAULTHANDLER"),
        *("PYTHONHASHSEED", "PYTHONMALLOC", "PYTHONOPTIMIZE", "PYTHONASYNCIODEBUG", "PYTHONDEVMODE"),
        *("MALLOC_ARENA_MAX", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"),
    }
)
_LOCALE: Final = "LC_"


def agents_environment(named: Iterable[str] = ()) -> dict[str, str]:
    """What agents' processes have in their environment.

    Args:
        named: variables that the operator gives them beside (`PAVO_AGENT_ENVIRONMENT`).
    """
    given = _NEEDED.union(named)
    return {name: value for name, value in os.environ.items() if name in given or name.startswith(_LOCALE)}
