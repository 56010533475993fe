from __future__ import annotations

from stockade.selftest.corpus.attempt import Attempt, asking, get


def test_a_mark_is_written_wherever_it_belongs() -> None:
    one = Attempt(
        "a", "b", "command", {"words": ["x{mark}"], "headers": {"k": "{mark}"}, "port": 1}
    )
    assert one.marked("tag001") == (
        "tag001",
        "command",
        {"words": ["xtag001"], "headers": {"k": "tag001"}, "port": 1},
    )


def test_requests_are_written_out() -> None:
    one = asking("a", "b", get("/x", "A: b", host="h"), tls="other")
    assert (
        one.arguments["text"] == "GET /x HTTP/1.1\r\nHost: h\r\nConnection: close\r\nA: b\r\n\r\n"
    )
    assert (one.arguments["port"], one.arguments["tls"]) == (443, "other")
    assert asking("a", "b", "", plain=True).arguments["port"] == 80
