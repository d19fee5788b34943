"""The reject gate: it lets a part through on a PASS for that part, in time, and on nothing else."""

from agent.gate.belt import Belt
from agent.gate.config import load_gate
from agent.gate.gate import RejectGate

__all__ = ["Belt", "RejectGate", "load_gate"]
