"""The door of a station: who is let in at which socket, and how many tried."""

from __future__ import annotations

import errno
import logging
import threading
import time
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Any

import zmq
from zmq.utils.monitor import parse_monitor_message

from agent.errors import InputError
from agent.keys import AllowList, Client, KeyFolder, Role
from agent.messaging.memory import MARGIN, MemoryGuard
from agent.messaging.sockets import PEER_TIMEOUT_MS, REQUESTS_WAITING, bind, open_socket
from agent.trouble import Trouble

log = logging.getLogger(__name__)

# How soon a change of the allow-list takes effect, and too much memory is noticed.
LOOK_S = 0.1
# ZeroMQ lets go of a port in some milliseconds; what takes it longer to be bound again is told.
REBIND_S = 1.0
EVENTS = zmq.EVENT_ACCEPTED | zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED


class Domain(str, Enum):
    """A socket of a station, and in the language of ZAP the domain that guards it."""

    VERDICTS = "verdicts"
    REPLAY = "replay"
    COMMANDS = "commands"


# Subscriptions cannot be told apart by key, so each socket is for all or nothing of a role.
ADMITS = {
    Domain.VERDICTS: frozenset({Role.READ}),
    Domain.REPLAY: frozenset({Role.READ}),
    Domain.COMMANDS: frozenset({Role.TRIGGER, Role.CONTROL}),
}
# Who connects to a station without keys: only this machine can, and it may do everything.
ANYONE = Client(name="anyone", key="0" * 40, roles=frozenset(Role), created_at="")


class Listener:
    """A bound socket. It belongs to the thread that uses it.

    Attributes:
        socket: for sending and receiving.
        malformed: what its owner could not understand.
        forbidden: what its owner refused to a client that has not the role for it.
    """

    def __init__(self, door: Door, socket: zmq.Socket[bytes], endpoint: str) -> None:
        self.socket = socket
        self.malformed = 0
        self.forbidden = 0
        self._door = door
        self._endpoint = endpoint
        self._renewals = door.renewals
        self._unbound_at_s: float | None = None
        self._in_vain = Trouble("tried in vain to bind an endpoint again")

    def renew(self) -> None:
        """When the door asks for it, end every connection; peers connect again by themselves.

        ZeroMQ asks for a key once, when a connection is made, and keeps what a peer fills as long
        as it is connected. Unbinding ends all connections that were.
        """
        if self._unbound_at_s is None and self._renewals != self._door.renewals:
            self._renewals = self._door.renewals
            self.socket.unbind(self._endpoint)
            self._unbound_at_s = time.monotonic()
        if self._unbound_at_s is not None:
            self._bind_again(self._unbound_at_s)

    def _bind_again(self, unbound_at_s: float) -> None:
        try:
            self.socket.bind(self._endpoint)
        except zmq.ZMQError as error:
            # The port is free when ZeroMQ has let go of it, and the address there when its
            # interface is up again: at the next call, then.
            if error.errno not in (errno.EADDRINUSE, errno.EADDRNOTAVAIL):
                raise
            if time.monotonic() - unbound_at_s >= REBIND_S:
                self._in_vain.came(f"{self._endpoint}: {error.strerror}")
        else:
            self._unbound_at_s = None

    def client_of(self, frame: zmq.Frame) -> Client | None:
        """Who sent a frame; see `Door.client_of`."""
        return self._door.client_of(frame)

    def close(self) -> None:
        """Close; what was sent is still delivered, for as long as LINGER allows."""
        if not self.socket.closed:
            # Its events would wait for somebody to read them.
            self.socket.disable_monitor()
            self.socket.close()


class Door:
    """Opens the sockets of a station, with keys or, on loopback, without.

    With keys, every socket speaks CURVE, and the allow-list is asked about each connection. The
    list is read again when it changes; one that cannot be read admits nobody. With keys or without,
    a peer of ZMTP before 3, as which a browser's request can pass, is sent away.

    Attributes:
        renewals: how often every connection had to be made anew: because somebody who was admitted
            was so no more, or because peers had filled too much memory.
        connections: accepted so far.
        admitted: of these, the ones that said in time what a peer of the socket must say, with
            keys one that is listed. The others were sent away.
        closed: connections that have ended, but for those that a renewal ends.
    """

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], keys: KeyFolder | None) -> None:
        """Start to watch.

        Raises:
            InputError: a key is missing, damaged or open to others.
        """
        self.context = context
        self.renewals = 0
        self.connections = 0
        self.admitted = 0
        self.closed = 0
        self._listeners: list[Listener] = []
        self._monitors: list[zmq.Socket[bytes]] = []
        self._keys = keys
        self._clients: dict[str, Client] = {}
        self._following = threading.Lock()
        self._authenticator: Any = None
        if keys is not None:
            self._secret = keys.station_key()
            self._stamp = _stamp(keys.clients_file)
            self._clients = _by_key(keys.clients())
            self._authenticator = _start_authenticator(context, self)
        self._memory = MemoryGuard()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="door", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether it watches, and answers who may connect; False after `close` or a defect."""
        answers = self._authenticator is None or self._authenticator.is_alive()
        return answers and self._thread.is_alive()

    @property
    def malformed(self) -> int:
        """Requests and subscriptions that could not be understood."""
        return sum(listener.malformed for listener in self._listeners)

    @property
    def forbidden(self) -> int:
        """Requests of clients that have not the role for them."""
        return sum(listener.forbidden for listener in self._listeners)

    def open(
        self,
        kind: int,
        endpoint: str,
        domain: Domain,
        options: Mapping[int, int | bytes] | None = None,
    ) -> Listener:
        """Bind a socket of this kind, with these options beside those that every socket gets.

        Raises:
            InputError: the endpoint is in use or cannot be bound.
        """
        socket = open_socket(self.context, kind)
        socket.set(zmq.RCVHWM, REQUESTS_WAITING)
        socket.set(zmq.HEARTBEAT_TIMEOUT, PEER_TIMEOUT_MS)
        for option, value in (options or {}).items():
            socket.set(option, value)
        # Also without keys, where nobody answers for it and all are admitted: a socket that has a
        # domain refuses ZMTP 1 and 2. To one without, every stream of bytes is a peer of ZMTP 1,
        # also what a web page makes a browser on this machine post.
        socket.set(zmq.ZAP_DOMAIN, domain.value.encode())
        if self._keys is not None:
            socket.set(zmq.CURVE_SERVER, 1)
            socket.set(zmq.CURVE_SECRETKEY, self._secret.secret_key.get_secret_value().encode())
            # With keys, a domain that nobody answers for admits nobody.
            socket.set(zmq.ZAP_ENFORCE_DOMAIN, 1)
        self._monitors.append(self._monitor(socket))
        listener = Listener(self, socket, endpoint)
        try:
            bind(socket, endpoint)
        except InputError:
            listener.close()
            raise
        self._listeners.append(listener)
        return listener

    def admits(self, key: str, domain: Domain) -> bool:
        """Whether the holder of a key may connect to a socket.

        Who is denied does not try again by itself, so a list that has just changed counts.
        """
        if key not in self._clients:
            self._follow_list()
        client = self._clients.get(key)
        return client is not None and bool(client.roles & ADMITS[domain])

    def client_of(self, frame: zmq.Frame) -> Client | None:
        """Who sent a frame, as listed at this moment: None for somebody who is listed no more.

        Without keys it is ANYONE.
        """
        if self._keys is None:
            return ANYONE
        return self._clients.get(str(frame.get("User-Id")))

    def close(self) -> None:
        """Close what is still open, and watch no more; when no other thread uses a listener."""
        for listener in self._listeners:
            listener.close()
        self._stop.set()
        self._thread.join()
        for monitor in self._monitors:
            monitor.close(linger=0)
        if self._authenticator is not None:
            _stop_authenticator(self._authenticator)
        self._memory.close()

    def _monitor(self, socket: zmq.Socket[bytes]) -> zmq.Socket[bytes]:
        address = f"inproc://door-{len(self._monitors)}"
        socket.monitor(address, EVENTS)
        monitor = self.context.socket(zmq.PAIR)
        # With a limit, a flood of connections would stop ZeroMQ until the events are read.
        monitor.set(zmq.RCVHWM, 0)
        monitor.connect(address)
        return monitor

    def _watch(self) -> None:
        while not self._stop.wait(LOOK_S):
            for monitor in list(self._monitors):
                while monitor.poll(0):
                    self._count(parse_monitor_message(monitor.recv_multipart())["event"])
            self._follow_list()
            if self._memory.is_overrun():
                log.warning(
                    "memory has grown by %d MB, as a peer that floods makes it: "
                    "every connection is made anew",
                    MARGIN // 1_000_000,
                )
                self.renewals += 1

    def _count(self, event: int) -> None:
        self.connections += event == zmq.EVENT_ACCEPTED
        self.admitted += event == zmq.EVENT_HANDSHAKE_SUCCEEDED
        self.closed += event == zmq.EVENT_DISCONNECTED

    def _follow_list(self) -> None:
        if self._keys is None:
            return
        with self._following:
            stamp = _stamp(self._keys.clients_file)
            if stamp != self._stamp:
                self._stamp = stamp
                self._read_list(self._keys)

    def _read_list(self, keys: KeyFolder) -> None:
        before = self._clients
        try:
            self._clients = _by_key(keys.clients())
        except InputError as error:
            log.error("nobody is admitted until this is put right: %s", error)
            self._clients = {}
        left = [
            client.name
            for key, client in before.items()
            if key not in self._clients or client.roles - self._clients[key].roles
        ]
        log.info("%d clients are admitted", len(self._clients))
        if left:
            log.warning("revoked: %s; every connection is made anew", ", ".join(left))
            self.renewals += 1


class _Admission:
    """What pyzmq's authenticator asks."""

    def __init__(self, door: Door, domain: Domain) -> None:
        self._door = door
        self._domain = domain

    def callback(self, _domain: str, key: bytes) -> bool:
        return self._door.admits(key.decode("ascii"), self._domain)


def _start_authenticator(context: zmq.Context[zmq.Socket[bytes]], door: Door) -> Any:
    # Here, because it brings asyncio, which a station without keys has no use for.
    from zmq.auth.thread import ThreadAuthenticator

    authenticator = ThreadAuthenticator(context)
    authenticator.start()
    for domain in Domain:
        authenticator.configure_curve_callback(domain.value, _Admission(door, domain))
    return authenticator


def _stop_authenticator(authenticator: Any) -> None:
    if not authenticator.is_alive():
        # It would wait for ever for somebody to take its request.
        authenticator.pipe.close()
        authenticator.pipe = None
    authenticator.stop()


def _by_key(listed: AllowList) -> dict[str, Client]:
    return {client.key: client for client in listed.clients}


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino, status.st_size
