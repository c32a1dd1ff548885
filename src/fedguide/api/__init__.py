"""The HTTP API of the guide: JSON over FastAPI, errors as problem documents (RFC 9457)."""
