"""All that runs at the line: cameras, engine, decision, journal, messaging, service."""

__version__ = "0.1.0"
