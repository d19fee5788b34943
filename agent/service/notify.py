"""Telling systemd that the service is ready, alive, or ending (sd_notify, Type=notify)."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Mapping

log = logging.getLogger(__name__)


class Notifier:
    """Sends to systemd's notify socket; does nothing where the service runs without systemd."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        """Read the socket's address from NOTIFY_SOCKET; a leading @ is an abstract name."""
        address = environment.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.setblocking(False)

    def ready(self) -> None:
        """The station is Ready."""
        self._send(b"READY=1")

    def alive(self) -> None:
        """The loop goes round; systemd kills and restarts a service that stops saying so."""
        self._send(b"WATCHDOG=1")

    def stopping(self) -> None:
        """The station is about to end."""
        self._send(b"STOPPING=1")

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def _send(self, message: bytes) -> None:
        if not self._address:
            return
        try:
            self._socket.sendto(message, self._address)
        except OSError as error:
            # The line goes on; systemd, if it misses the message, acts on the silence.
            log.warning("cannot notify systemd: %s", error.strerror)
