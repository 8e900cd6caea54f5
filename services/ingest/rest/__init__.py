"""The REST API of accounts, lectures and sessions, under `/api`."""
