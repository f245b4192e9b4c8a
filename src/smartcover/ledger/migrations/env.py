"""What Alembic runs: the migrations, on the connection that smartcover.ledger.migrating hands over."""

from __future__ import annotations

from alembic import context

context.configure(connection=context.config.attributes["connection"], transaction_per_migration=True)
with context.begin_transaction():
    context.run_migrations()
