"""Whatever the network drops, a subscriber delivers each verdict once and in order, or a gap."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable

import pytest

from agent.client import Gap, Position, Silence, Subscriber
from agent.client.replay import PAGE
from agent.errors import InputError
from agent.messaging.replay import ReplayServer
from agent.states import State
from agent.verdict import Verdict
from tests.agent.client.station import TOPIC, Start, listen, seen, seen_while_beating
from tests.agent.factories import make_verdict


def test_every_verdict_arrives_once_and_in_order(start: Start, endpoints: tuple[str, str]) -> None:
    station = start()
    with Subscriber(*endpoints) as subscriber:
        listen(station, subscriber)
        given = station.give(200)
        assert seen(subscriber, 200) == given
        assert subscriber.position == Position(station.journal.epoch, given[-1])
        assert subscriber.missed == 0


def test_what_was_dropped_is_filled_in_from_the_journal(
    start: Start, endpoints: tuple[str, str]
) -> None:
    station = start()
    with Subscriber(*endpoints) as subscriber:
        listen(station, subscriber)
        given = station.give(3) + station.give(50, publish=False) + station.give(3)
        assert station.journal.acknowledge("settle", 1, 1, timeout_s=10)
        assert seen(subscriber, 56) == given
        # The last three came twice, and the replay has brought them already.
        (after,) = station.give(1)
        assert seen(subscriber, 1) == [after]
        assert subscriber.missed == 0


def test_a_lost_tail_is_revealed_by_the_heartbeat(start: Start, endpoints: tuple[str, str]) -> None:
    station = start()
    with Subscriber(*endpoints) as subscriber:
        listen(station, subscriber)
        given = station.give(4, publish=False)
        station.beat()
        assert seen(subscriber, 4) == given


def test_without_replay_what_was_dropped_is_a_gap(start: Start, endpoints: tuple[str, str]) -> None:
    station = start()
    with Subscriber(endpoints[0]) as subscriber:
        listen(station, subscriber)
        before, dropped = station.give(1), station.give(5, publish=False)
        after = station.give(1)
        gap = Gap(station.journal.epoch, dropped[0], dropped[-1])
        assert seen(subscriber, 3) == [*before, gap, *after]
        assert subscriber.missed == gap.count == 5


def test_what_the_journal_lost_too_is_a_gap(start: Start, endpoints: tuple[str, str]) -> None:
    station = start()
    with Subscriber(*endpoints) as subscriber:
        listen(station, subscriber)
        before = station.give(1)
        lost = station.give(2, publish=False, store=False)
        after = station.give(1)
        gap = Gap(station.journal.epoch, lost[0], lost[-1])
        assert seen(subscriber, 3) == [*before, gap, *after]


def test_a_verdict_that_is_not_stored_yet_is_waited_for(
    start: Start, endpoints: tuple[str, str]
) -> None:
    station = start()
    with Subscriber(*endpoints) as subscriber:
        listen(station, subscriber)
        given = station.give(2, publish=False, store=False) + station.give(1, store=False)
        # The disk is slow: nothing is stored yet when the gap is found.
        until_s = time.monotonic() + 0.3
        while (left_s := until_s - time.monotonic()) > 0:
            assert not isinstance(subscriber.receive(left_s), Verdict | Gap)
        station.store_the_rest()
        assert seen(subscriber, 3) == given
        assert subscriber.missed == 0


def test_a_replay_endpoint_that_does_not_answer_leaves_a_gap_and_a_live_stream(
    start: Start,
    endpoints: tuple[str, str],
    endpoint: Callable[[], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("agent.client.subscriber.REPLAY_TIMEOUT_S", 0.1)
    station = start()
    with Subscriber(endpoints[0], endpoint(), patience_s=0.1) as subscriber:
        listen(station, subscriber)
        station.give(2, publish=False)
        (after,) = station.give(1)
        gap, verdict = seen(subscriber, 2)
        assert isinstance(gap, Gap)
        assert verdict == after


@pytest.mark.parametrize(
    "frames",
    [
        [TOPIC, b"{}"],
        [TOPIC, b"\xff"],
        [TOPIC],
        [TOPIC, make_verdict().to_json().replace(b"verdict/1", b"verdict/2")],
        [b"v1/a/b/c/unknown/", b"{}"],
        [b"v1/", b"{}"],
    ],
)
def test_what_cannot_be_read_is_told_counted_and_passed_over(
    start: Start,
    endpoints: tuple[str, str],
    frames: list[bytes],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A client older than its station took no verdicts, and said nothing."""
    station = start()
    with Subscriber(*endpoints) as subscriber:
        listen(station, subscriber)
        station.publisher._socket.send_multipart(frames)
        given = station.give(1)
        assert seen(subscriber, 1) == given
        assert subscriber.malformed == 1
    assert "a message cannot be read (is the station newer than this client?)" in caplog.text


@pytest.mark.parametrize("count", [1, PAGE + 1], ids=["one", "more than are asked for at once"])
def test_stored_verdicts_of_a_newer_station_are_a_gap_and_what_follows_is_delivered(
    start: Start, endpoints: tuple[str, str], count: int
) -> None:
    """Nothing came any more, no heartbeat either, after a station had gone back to this version."""
    station = start()
    with Subscriber(*endpoints) as subscriber:
        listen(station, subscriber)
        before, newer, after = station.give(1), station.store_newer(count), station.give(1)
        found = seen(subscriber, 2 + len(range(0, count, PAGE)))
        assert found[0] == before[0] and found[-1] == after[0]
        gaps = [each for each in found if isinstance(each, Gap)]
        assert [s for gap in gaps for s in range(gap.first, gap.last + 1)] == newer
        assert subscriber.missed == subscriber.malformed == count


def test_a_gap_that_cannot_be_filled_for_now_does_not_fill_the_log(
    start: Start,
    endpoints: tuple[str, str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A client asks for the same verdicts again and again."""
    monkeypatch.setattr("agent.client.subscriber.REPLAY_TIMEOUT_S", 0.05)
    station = start()
    with Subscriber(*endpoints) as subscriber:
        listen(station, subscriber)
        station.replay.close()
        station.give(1, publish=False)
        station.give(1)
        until_s = time.monotonic() + 20
        while subscriber._unfilled.count < 3:
            assert time.monotonic() < until_s
            assert not isinstance(subscriber.receive(0.1), Verdict | Gap)
    told = [record for record in caplog.records if "cannot fill a gap" in record.getMessage()]
    assert len(told) == 1


@pytest.mark.parametrize("endpoints_given", [("5556", None), ("tcp://127.0.0.1:5556", "x")])
def test_an_endpoint_of_the_wrong_form_is_refused(endpoints_given: tuple[str, str | None]) -> None:
    with pytest.raises(InputError, match="is not an endpoint"):
        Subscriber(*endpoints_given)


def test_silence_and_its_end_are_told(
    start: Start, endpoints: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.client.subscriber.SILENT_S", 0.2)
    with Subscriber(*endpoints) as subscriber:
        assert subscriber.receive(5.0) == Silence(over=False)
        station = start()
        for _ in range(100):
            station.beat()
            event = subscriber.receive(0.1)
            if event is not None:
                break
        assert event == Silence(over=True)


def test_a_client_that_was_refused_once_connects_again_with_all_its_sockets(
    start: Start, endpoints: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its key was listed after it had come: it heard nothing until it was restarted."""
    with Subscriber(*endpoints, client="mes") as subscriber:
        before = subscriber._socket, subscriber._acknowledger
        with monkeypatch.context() as patch:
            patch.setattr("agent.client.subscriber.SILENT_S", 0.0)
            patch.setattr("agent.client.subscriber.CONNECT_AGAIN_S", 0.0)
            assert subscriber.receive(0) == Silence(over=False)
        assert before[1] is not None
        assert before[0].closed and before[1]._socket.closed
        station = start()
        given = station.give(1)
        assert seen_while_beating(station, subscriber, 1) == given


def test_without_a_replay_endpoint_for_now_a_gap_waits_until_it_can_be_filled(
    start: Start, endpoints: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.client.subscriber.REPLAY_TIMEOUT_S", 0.1)
    station = start()
    with Subscriber(*endpoints) as subscriber:
        listen(station, subscriber)
        station.replay.close()
        given = station.give(2, publish=False) + station.give(2)
        until_s = time.monotonic() + 0.5
        while (left_s := until_s - time.monotonic()) > 0:
            assert not isinstance(subscriber.receive(left_s), Verdict | Gap)
        monkeypatch.setattr("agent.client.subscriber.REPLAY_TIMEOUT_S", 5.0)
        station.replay = ReplayServer(
            station.door, endpoints[1], station.journal, lambda: State.READY
        )
        assert seen(subscriber, 4) == given
        assert subscriber.missed == 0


def test_a_gap_that_stays_open_for_long_is_no_silence_and_loses_nothing(
    start: Start, endpoints: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the replay endpoint gone, more comes than may wait."""
    monkeypatch.setattr("agent.client.subscriber.REPLAY_TIMEOUT_S", 0.05)
    monkeypatch.setattr("agent.client.subscriber.HIGH_WATER_MARK", 20)
    station = start()
    with Subscriber(*endpoints) as subscriber:
        listen(station, subscriber)
        station.replay.close()
        given = station.give(2, publish=False) + station.give(40)
        until_s = time.monotonic() + 10
        while len(subscriber._heard) < 20:
            assert time.monotonic() < until_s
            assert not isinstance(subscriber.receive(0.05), Verdict | Gap)
        beaten_s = time.monotonic()
        station.beat()
        while subscriber._heard_at_s < beaten_s:
            assert time.monotonic() < until_s, "a station that beats is taken for silent"
            assert not isinstance(subscriber.receive(0.05), Verdict | Gap)
            station.beat()
        assert len(subscriber._heard) <= 20
        monkeypatch.setattr("agent.client.subscriber.REPLAY_TIMEOUT_S", 5.0)
        station.replay = ReplayServer(
            station.door, endpoints[1], station.journal, lambda: State.READY
        )
        found = seen(subscriber, 21)
        station.beat()
        assert found + seen(subscriber, 21) == given
        assert subscriber.missed == 0


def test_a_gap_that_stays_open_takes_no_core(
    start: Start, endpoints: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the station's own machine it took one of two, as long as the disk was full."""
    monkeypatch.setattr("agent.client.subscriber.REPLAY_TIMEOUT_S", 0.05)
    station = start()
    with Subscriber(*endpoints) as subscriber:
        listen(station, subscriber)
        station.replay.close()
        station.give(1, publish=False)
        station.give(2)
        subscriber.receive(0.2)
        looks: list[None] = []
        hear = subscriber._hear
        monkeypatch.setattr(subscriber, "_hear", lambda: (looks.append(None), hear()))
        until_s = time.monotonic() + 1.0
        while (left_s := until_s - time.monotonic()) > 0:
            assert not isinstance(subscriber.receive(left_s), Verdict | Gap)
        assert len(looks) < 1000  # without a pause there are tens of thousands


def test_verdicts_alone_can_be_iterated(start: Start, endpoints: tuple[str, str]) -> None:
    station = start()
    with Subscriber(*endpoints) as subscriber:
        listen(station, subscriber)
        given = station.give(2)
        station.beat()
        given += station.give(1)
        found = itertools.islice(subscriber.verdicts(), 3)
        assert [verdict.seq for verdict in found] == given
