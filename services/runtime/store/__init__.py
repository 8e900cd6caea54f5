"""The document store: one small port; SQLite here, other adapters join its suite unchanged."""

from services.runtime.store.port import Conflict, Document, Filter, Store, StoreUnavailable

__all__ = ["Conflict", "Document", "Filter", "Store", "StoreUnavailable"]
