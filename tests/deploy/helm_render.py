"""Renders the chart in a process of its own: Helm is a Go library, whose runtime stays out of the tests' process.

Reads a JSON list of `{"values": …, "upgrade": bool}` and writes a list of `{"files": …}` or `{"error": …}`.
"""

import json
import sys
from typing import Any

import helm_python


def main() -> None:
    found: list[dict[str, Any]] = []
    with helm_python.Chart.load(sys.argv[1]) as chart:
        for case in json.load(sys.stdin):
            try:
                chart.validate_schema(case["values"])
                upgrade = bool(case.get("upgrade"))
                files = chart.render(
                    case["values"], name="demo", namespace="team", is_install=not upgrade, is_upgrade=upgrade
                )
                found.append({"files": files})
            except helm_python.HelmError as error:
                found.append({"error": str(error)})
    findings = helm_python.lint(sys.argv[1], values=case_values()) if len(sys.argv) > 2 else None
    json.dump({"cases": found, "lint": findings}, sys.stdout)


def case_values() -> dict[str, Any]:
    return json.loads(sys.argv[2])


if __name__ == "__main__":
    main()
