"""Activations of an INT8 model as uint8, which CPUs multiply faster, and with all 256 levels.

In a bundle every activation is int8 with zero point 0, as TensorRT demands. Behind a ReLU only the
codes 0 .. 127 occur, and a CPU's dot product of bytes wants the activation unsigned: ONNX Runtime
even leaves INT8 where a ReLU stands before an int8 code (79 ms against 29, measured), and OpenVINO
takes 7 % longer. All those tensors name one zero point, and its type is theirs.

Unsigned, the same range has twice the levels, and rounding costs half. Only where products of
bytes are added up in 32 bits, though: processors without such an instruction add them in 16, which
codes beyond 127 overflow. There the scales stay. Signed codes overflow there all the same, as
runtimes multiply them as unsigned bytes about 128: with OpenVINO, what reads them calculates in
float, and ONNX Runtime makes its weights unsigned too, whose products it adds in 32 bits.

ONNX Runtime goes on in INT8 only from one type of codes to the same: a convolution from signed
codes to a ReLU's it calculates in float. So for it all are unsigned, the signed ones about 128.
"""

from __future__ import annotations

import re
import struct

from agent.engine.base import ALL_LEVELS, FEW_LEVELS
from agent.engine.cpu import adds_bytes_exactly, cpu_flags

UNSIGNED_ZERO = "zero_behind_relu"
# The zero point of all other activations, and of nothing else.
SIGNED_ZERO = "zero_of_signed"
# Ends the name of every scale of a tensor behind a ReLU.
UNSIGNED_SCALE = "_scale_behind_relu"
# ONNX numbers its types: uint8 is 2, int8 is 3. A TensorProto with no dimensions begins with its
# type (field 2), as `onnx.numpy_helper` writes it; its name is field 8, its bytes are field 9.
_NAME = b"\x42" + bytes([len(UNSIGNED_ZERO)]) + UNSIGNED_ZERO.encode()
_INT8, _UINT8 = b"\x10\x03" + _NAME, b"\x10\x02" + _NAME
_SIGNED = b"\x42" + bytes([len(SIGNED_ZERO)]) + SIGNED_ZERO.encode() + b"\x4a\x01"
_INT8_0, _UINT8_128 = b"\x10\x03" + _SIGNED + b"\x00", b"\x10\x02" + _SIGNED + b"\x80"
_SCALE = re.compile(UNSIGNED_SCALE.encode() + rb"\x4a\x04(.{4})", re.DOTALL)
_FINER = FEW_LEVELS / ALL_LEVELS


def levels(device: str, precision: str) -> int:
    """How many levels INT8 activations have on a device; see `Fingerprint`."""
    fewer = device == "CPU" and precision == "int8" and not adds_bytes_exactly(cpu_flags())
    return FEW_LEVELS if fewer else ALL_LEVELS


def unsigned_behind_relu(model: bytes, *, all_levels: bool) -> bytes:
    """The ONNX model with uint8 in place of int8 behind its ReLUs; others come back as they are.

    all_levels: use the codes 128 .. 255 too.
    """
    if _INT8 not in model:
        return model
    model = model.replace(_INT8, _UINT8, 1)
    return _SCALE.sub(_finer, model) if all_levels else model


def all_unsigned(model: bytes, *, all_levels: bool) -> bytes:
    """The ONNX model with uint8 in place of int8 for all activations: `unsigned_behind_relu`, and
    the signed ones about 128, where codes beyond 127 do not overflow.
    """
    model = unsigned_behind_relu(model, all_levels=all_levels)
    return model.replace(_INT8_0, _UINT8_128, 1) if all_levels else model


def _finer(found: re.Match[bytes]) -> bytes:
    (scale,) = struct.unpack("<f", found[1])
    return found[0][:-4] + struct.pack("<f", scale * _FINER)
