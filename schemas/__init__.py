"""The one contract: topics, events, REST bodies and the wire protocol. Imports pydantic and nothing of ours."""
