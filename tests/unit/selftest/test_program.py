from __future__ import annotations

import socket
import threading

from stockade.selftest.program import attempt


def test_what_comes_back_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            client, _ = server.accept()
            with client:
                client.sendall(b"got " + client.recv(100))

        thread = threading.Thread(target=answer)
        thread.start()
        result = attempt("tag001", "talk", {
            "host": "127.0.0.1", "port": server.getsockname()[1], "text": "x",
        })  # fmt: skip
        thread.join()
    assert (result["mark"], result["answer"]) == ("tag001", "got x")


def test_each_way_of_failing_is_an_outcome() -> None:
    assert attempt("m", "talk", {})["error"].startswith("TypeError")
    assert attempt("m", "none", {})["error"].startswith("KeyError")


def test_a_program_that_succeeds_has_reached_something() -> None:
    assert attempt("m", "command", {"words": ["true"]})["reached"] is True
    assert attempt("m", "command", {"words": ["false"]})["reached"] is False
