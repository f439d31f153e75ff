"""The floor of (f): a FastAPI route with one PostgreSQL read, on Pavo's uvicorn settings and pool."""

import sys
import uuid
from typing import Any

import uvicorn
from fastapi import FastAPI
from sqlalchemy import text

from pavo.config import DatabaseSettings
from pavo.kit.sql import Database

app = FastAPI()
_QUERY = text(
    "SELECT id, title, prompt, agent_type, agent_options, stage, phase, workflow_id, run_id, created_at, updated_at"
    " FROM tasks WHERE id = :id"
)


@app.get("/api/tasks/{task_id}")
async def read(task_id: uuid.UUID) -> dict[str, Any]:
    """One row as JSON."""
    async with app.state.database.autocommit() as connection:
        return dict((await connection.execute(_QUERY, {"id": task_id})).mappings().one())


def main(port: int, url: str) -> None:
    """Serve until killed."""
    app.state.database = Database(url, pool_size=DatabaseSettings.model_fields["pool_size"].default)
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=port,
        loop="uvloop",
        http="httptools",
        ws="none",
        log_config=None,
        access_log=False,
        limit_concurrency=4_000,
        backlog=1024,
    )


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
