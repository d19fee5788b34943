"""Everything that a peer can get wrong, from JSON that is nearly right to bytes that are no ZeroMQ.

Each maker takes a seeded `random.Random` and returns what is surely malformed.
"""

from __future__ import annotations

import json
import random
import struct
from typing import Any

from pydantic import TypeAdapter, ValidationError

from agent.messaging.requests import Command, ReplayRequest

VALID: list[dict[str, Any]] = [
    {"op": "snapshot"},
    {"op": "snapshot", "client": "mes"},
    {"op": "replay", "epoch": 1, "from": 1, "to": 9},
    {"op": "ack", "client": "mes", "epoch": 1, "seq": 1},
    {"op": "trigger", "part_id": "A17", "deadline_ms": 80},
    {"op": "select", "product_id": "tile"},
    {"op": "start"},
    {"op": "stop"},
    {"op": "state"},
]
STRANGE: list[Any] = [
    None, True, -1, 0, 2**53 + 1, 10**400, 1e308, "", "\u0000", "\u202e", "x" * 5000, [], {}, [[]],
    {"op": "stop"}, float("nan"), float("inf"), "😀" * 200,
]  # fmt: skip
LARGEST = 60_000
MODELS: list[TypeAdapter[Any]] = [TypeAdapter(Command), TypeAdapter(ReplayRequest)]


def request(chance: random.Random) -> list[bytes]:
    """Frames for a ROUTER of a station, none of which is a request."""
    while True:
        frames = chance.choice(REQUEST_MAKERS)(chance)
        if not any(len(frames) == 1 and _is_valid(model, frames[0]) for model in MODELS):
            return frames


def subscription(chance: random.Random, number: int) -> bytes:
    """A message for an XPUB that is no subscription, or to what no station publishes."""
    unique = b"%d" % number  # ZeroMQ passes on the first of several equal ones alone
    return chance.choice(
        [
            b"\x01v2/" + unique,
            b"\x01" + unique + chance.randbytes(chance.randrange(40)),
            b"\x01v1/" + b"y" * 600 + unique,
            b"\x02" + chance.randbytes(chance.randrange(200)),
            b"\x07" + chance.randbytes(chance.randrange(20_000)),
            json.dumps({"op": "stop", "n": number}).encode(),
        ]
    )


def stream(chance: random.Random) -> bytes:
    """Bytes for a TCP connection that will never be a peer, or will break off as one."""
    return chance.choice(STREAM_MAKERS)(chance)


def _is_valid(model: TypeAdapter[Any], text: bytes) -> bool:
    try:
        model.validate_json(text)
    except ValidationError:
        return False
    return True


def _noise(chance: random.Random) -> list[bytes]:
    return [chance.randbytes(chance.randrange(200))]


def _large(chance: random.Random) -> list[bytes]:
    return [chance.choice([b"{", b"[", b'"', b"\0", b" "]) * chance.randrange(LARGEST)]


def _broken_json(chance: random.Random) -> list[bytes]:
    text = bytearray(json.dumps(chance.choice(VALID)).encode())
    for _ in range(chance.randrange(1, 4)):
        position = chance.randrange(len(text))
        # Change, add or leave out: the slice that the new byte takes the place of.
        text[position : position + chance.randrange(3)] = chance.randbytes(1)
    return [bytes(text[: chance.choice([len(text), chance.randrange(len(text))])])]


def _wrong_values(chance: random.Random) -> list[bytes]:
    content = dict(chance.choice(VALID))
    content[chance.choice([*content, "more"])] = chance.choice(STRANGE)
    return [json.dumps(content).encode()]


def _several_frames(chance: random.Random) -> list[bytes]:
    frames = [json.dumps(chance.choice(VALID)).encode() for _ in range(chance.randrange(2, 6))]
    # In front of a single request an empty frame is right: it is a REQ peer's.
    return [b"", b"", *frames] if chance.random() < 0.5 else frames


def _many_frames(chance: random.Random) -> list[bytes]:
    return [b"x"] * chance.randrange(10, 300)


REQUEST_MAKERS = [_noise, _large, _broken_json, _wrong_values, _several_frames, _many_frames]
# What comes often in life comes often here.
REQUEST_MAKERS += [_broken_json, _wrong_values, _noise] * 3

# ZMTP 3, without security.
GREETING = b"\xff" + b"\0" * 8 + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + b"\0" * 32


def handshake(kind: bytes) -> bytes:
    """What a peer of this kind of socket says first."""
    ready = b"\x05READY\x0bSocket-Type" + struct.pack(">I", len(kind)) + kind
    return GREETING + b"\x04" + bytes([len(ready)]) + ready


def frame(content: bytes) -> bytes:
    """A message of one frame."""
    return b"\x02" + struct.pack(">Q", len(content)) + content


HANDSHAKE = handshake(b"DEALER")
STREAM_MAKERS = [
    lambda chance: b"",
    lambda chance: b"GET / HTTP/1.1\r\nHost: station\r\n\r\n",
    # What a web page can make a browser send: read as ZMTP 1, it holds a command.
    lambda chance: b"POST / HTTP/1.1\r\n\r\n" + bytes([1] * 300) + b'\x0e\0{"op":"stop"}',
    lambda chance: chance.randbytes(chance.randrange(2000)),
    lambda chance: GREETING[: chance.randrange(1, len(GREETING))],
    lambda chance: GREETING + chance.randbytes(chance.randrange(1, 200)),
    lambda chance: GREETING.replace(b"NULL", b"ABCD") + b"\x04\x05HELLO",
    lambda chance: HANDSHAKE.replace(b"DEALER", b"WHALER"),
    lambda chance: HANDSHAKE + b"\x02" + struct.pack(">Q", chance.randrange(2**17, 2**62)) + b"x",
    lambda chance: HANDSHAKE + b"\x00\xc8half a frame",
    lambda chance: HANDSHAKE + b"\x04\x14" + chance.randbytes(20),
]
