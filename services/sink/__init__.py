"""Events → store; the query API."""
