"""Alembic's environment: offline SQL or a connection given by `pavo.kit.migrate`."""

from alembic import context
from sqlalchemy import create_engine

from pavo.kit.sql import driver_url
from pavo.models import metadata

url = context.config.get_main_option("sqlalchemy.url")

if context.is_offline_mode():
    context.configure(url=url, target_metadata=metadata, literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()
else:
    engine = create_engine(driver_url(url or ""))
    with engine.connect() as connection:
        context.configure(connection=connection, target_metadata=metadata, transaction_per_migration=True)
        with context.begin_transaction():
            context.run_migrations()
    engine.dispose()
