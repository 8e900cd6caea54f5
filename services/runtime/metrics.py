"""Prometheus metrics that the services share, made once per process and handed to whoever counts."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_LATENCY_BUCKETS_S = (0.002, 0.005, 0.01, 0.02, 0.04, 0.08, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 15.0, 60.0)


class Metrics:
    """All counters of one process. `registry` belongs to it: two in one process (tests) do not collide."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"rapt_{name}", text, labels, registry=self.registry)

        self.frames_in = counter("frames_in_total", "Frames acknowledged by the log")
        self.frames_refused = counter("frames_refused_total", "Frames refused at the edge", "code")
        self.frames_analyzed = counter("frames_analyzed_total", "Frames analyzed")
        self.frames_skipped = counter("frames_skipped_total", "Frames left out of the analysis", "reason")
        self.predictions_failed = counter("predictions_failed_total", "Windows that the predictor failed on")
        self.frames_recorded = counter("frames_recorded_total", "Frames written to a recording and synced")
        self.dead_letters = counter("dead_letters_total", "Records sent to dead-letters", "topic", "error")
        self.results_passed_over = counter("results_passed_over_total", "Results that no page can be shown", "topic")
        self.documents_written = counter("documents_written_total", "Documents that a store confirmed", "collection")
        self.sockets = Gauge("rapt_sockets", "Open WebSockets", ("kind",), registry=self.registry)
        self.sessions = Gauge("rapt_sessions", "Sessions with state in memory", ("service",), registry=self.registry)
        self.consumer_lag = Gauge(
            "rapt_consumer_lag_records",
            "Records after the committed offset",
            ("group", "topic"),
            registry=self.registry,
        )
        self.consumer_lag_seconds = Gauge(
            "rapt_consumer_lag_seconds", "Age of the oldest record not finished", ("group",), registry=self.registry
        )
        self.store_connections = Gauge(
            "rapt_store_connections",
            "Connections to MongoDB that are open and in use, and calls waiting for one",
            ("state",),
            registry=self.registry,
        )
        self.stage_seconds = Histogram(
            "rapt_stage_seconds",
            "Parts of a frame's way. From ingest's receipt on: capture_log until the log has it, log_analyzed until it "
            "is analyzed. Then analyzed_shown; and capture_shown, all of it",
            ("stage",),
            buckets=_LATENCY_BUCKETS_S,
            registry=self.registry,
        )

    def render(self) -> bytes:
        """The text exposition format."""
        return generate_latest(self.registry)
