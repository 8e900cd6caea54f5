"""The document store: one small port, and its adapters for SQLite and MongoDB, which pass the same suite."""

from services.runtime.store.port import Conflict, Document, Filter, Store, StoreUnavailable

__all__ = ["Conflict", "Document", "Filter", "Store", "StoreUnavailable"]
