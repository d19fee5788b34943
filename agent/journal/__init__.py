"""The journal: the durable record of every verdict, and of every part that still awaits one.

Writing goes through one thread that commits in groups, so the line never waits for the disk;
reading has connections of its own, so a long replay slows nobody.
"""

from agent.journal.changes import OpenPart
from agent.journal.journal import Journal
from agent.journal.opening import open_journal
from agent.journal.reader import EpochRange, JournalReader, Stored
from agent.journal.retention import Retention

__all__ = [
    "EpochRange",
    "Journal",
    "JournalReader",
    "OpenPart",
    "Retention",
    "Stored",
    "open_journal",
]
