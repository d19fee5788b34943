"""Keys: who may connect to a station that other machines can reach, and what they may do there.

A station has one pair of CURVE keys, and a list of the clients that it admits, each by its own
key and with its roles. Secrets lie in files that only their owner reads, and are never shown.
"""

from agent.keys.files import AllowList, Client, ClientKey, Role, StationKey
from agent.keys.folder import KeyFolder

__all__ = ["AllowList", "Client", "ClientKey", "KeyFolder", "Role", "StationKey"]
