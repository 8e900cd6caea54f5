"""What all services share: settings, event log, store, auth, lifecycle, logging, metrics, health."""
