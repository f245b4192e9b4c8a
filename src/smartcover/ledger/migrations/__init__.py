"""The schema's history; see smartcover.ledger.schema for running it."""
