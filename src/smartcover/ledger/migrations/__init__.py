"""The schema's history; see smartcover.ledger.migrating for running it."""
