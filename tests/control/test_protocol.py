"""The rules of JSON-RPC: framing, pipelines, errors, limits"""

import fcntl
import json
import socket
import sys
import termios
import time

import pytest

from conftest import SECONDS
from deadline import eventually, settled


def line(**members):
    return json.dumps({"jsonrpc": "2.0", **members}) + "\n"


def test_a_line_in_pieces_is_one_request(connection):
    for byte in line(id=1, method="status").encode():
        connection.send(bytes([byte]))
    assert connection.read()["result"]["version"]


def test_pipelined_requests_are_answered_in_order(connection):
    connection.send("".join(
        line(id=i, method=method)
        for i, method in enumerate(("status", "sessions", "forwards", "no", "mappings", "status"))))
    answers = [connection.answer()[1] for _ in range(6)]
    assert [answer["id"] for answer in answers] == list(range(6))
    assert ["error" in answer for answer in answers] == [False, False, False, True, False, False]


def test_a_thousand_requests_at_once(connection):
    connection.send(line(id="x" * 20, method="nope") * 1000)
    assert all(connection.read()["error"]["code"] == -32601 for _ in range(1000))


def test_a_client_that_sends_no_more_still_gets_the_answers(connection):
    # The last without newline.
    connection.send(line(id=1, method="sessions") + line(id=2, method="status").rstrip())
    connection.socket.shutdown(socket.SHUT_WR)
    assert connection.answer()[1]["id"] == 1
    assert connection.answer()[1]["id"] == 2
    assert connection.read() is None


@pytest.mark.parametrize("request_id", [1, 0, -5, "a", "", "\u00fc\u4e2d\n", 9007199254740993])
def test_the_answer_has_the_id_of_the_request(connection, request_id):
    connection.send(line(id=request_id, method="status"))
    assert connection.read()["id"] == request_id


def test_blank_lines_are_ignored(connection):
    connection.send("\n \r\n\t\n" + line(id=1, method="status"))
    assert connection.read()["id"] == 1


@pytest.mark.parametrize("text, code, says", [
    ("hello", -32700, "not JSON"), ("{", -32700, "not JSON"), ("{} {}", -32700, "not JSON"),
    ('{"jsonrpc":"2.0","id":1,"id":2,"method":"status"}', -32700, "not JSON"),
    ('{"jsonrpc":"2.0","id":1,"method":"stat\\u0000us"}', -32700, "not JSON"),
    (b'{"jsonrpc":"2.0","id":1,"method":"\xff"}', -32700, "not JSON"),
    ("[" * 60000, -32700, "not JSON"), ("7", -32700, "not JSON"), ("[]", -32600, "batches"),
    ('[{"jsonrpc":"2.0","id":1,"method":"status"}]', -32600, "batches"), ("{}", -32600, "2.0"),
    ('{"jsonrpc":"1.0","id":1,"method":"status"}', -32600, "2.0"),
    ('{"jsonrpc":"2.0","method":"status"}', -32600, "'id'"),
    ('{"jsonrpc":"2.0","id":null,"method":"status"}', -32600, "'id'"),
    ('{"jsonrpc":"2.0","id":1.5,"method":"status"}', -32600, "'id'"),
    ('{"jsonrpc":"2.0","id":{},"method":"status"}', -32600, "'id'"),
    ('{"jsonrpc":"2.0","id":1}', -32600, "'method'"),
    ('{"jsonrpc":"2.0","id":1,"method":5}', -32600, "'method'"),
    ('{"jsonrpc":"2.0","id":1,"method":"nope"}', -32601, "expected status, sessions"),
    ('{"jsonrpc":"2.0","id":1,"method":"status","params":[]}', -32602, "'params'"),
    ('{"jsonrpc":"2.0","id":1,"method":"status","params":{"x":1}}', -32602,
     "no parameter 'x'; expected: none"),
    ('{"jsonrpc":"2.0","id":1,"method":"sessions","params":{"fliter":[]}}', -32602,
     "expected: filter"),
    ('{"jsonrpc":"2.0","id":1,"method":"sessions","params":{"filter":"tcp"}}', -32602,
     "array of filter words"),
    ('{"jsonrpc":"2.0","id":1,"method":"sessions","params":{"filter":["tcp",1]}}', -32602,
     "each a string"),
    ('{"jsonrpc":"2.0","id":1,"method":"sessions","params":{"filter":["sate=x"]}}', -32602,
     "did you mean 'state='"),
    ('{"jsonrpc":"2.0","id":1,"method":"kill","params":{"all":1}}', -32602, "true or false"),
    ('{"jsonrpc":"2.0","id":1,"method":"kill","params":{}}', -32602, "'filter'"),
    ('{"jsonrpc":"2.0","id":1,"method":"kill","params":{"filter":[]}}', -32602, "'filter'"),
    ('{"jsonrpc":"2.0","id":1,"method":"kill","params":{"filter":["tcp"],"all":true}}', -32602,
     "not both"),
    ('{"jsonrpc":"2.0","id":1,"method":"forward.remove","params":{}}', -32602, "'name'"),
    ('{"jsonrpc":"2.0","id":1,"method":"forward.add","params":{"for":"2 hours"}}', -32602,
     "duration"),
    ('{"jsonrpc":"2.0","id":1,"method":"forward.add","params":{"for":"2h",'
     '"expires":"2099-01-01T00:00:00Z"}}',
     -32602, "not both"),
    ('{"jsonrpc":"2.0","id":1,"method":"forward.add","params":{"name":["x"]}}', -32602, "a string"),
])
def test_the_error_says_what_is_wrong_and_the_connection_continues(connection, text, code, says):
    connection.send(text)
    connection.send("\n" + line(id=99, method="status"))
    refusal = connection.read()
    assert refusal["error"]["code"] == code, refusal
    assert says in refusal["error"]["message"], refusal
    assert refusal["id"] == (1 if code in (-32601, -32602) or says == "'method'" else
                             None) or code == -32600
    assert connection.read()["id"] == 99


def test_the_longest_line_is_accepted_and_a_longer_one_is_not(stub):
    fits = stub.connect()
    request = line(id=1, method="status").rstrip()
    fits.send(request + " " * (65536 - len(request)) + "\n")
    assert "result" in fits.read()
    longer = stub.connect()
    longer.send(request + " " * (65537 - len(request)))
    refusal = longer.read()
    assert refusal["error"]["code"] == -32600
    assert "65536" in refusal["error"]["message"]
    assert longer.read() is None


def test_every_error_text_is_printable(connection):
    connection.send(line(id=1, method="\x1b[31m\u009b\x07"))
    message = connection.read()["error"]["message"]
    assert "\x1b" not in message and "\u009b" not in message and "?[31m" in message


def unread(connected):
    """How many bytes wait in the socket."""
    size = bytearray(4)
    fcntl.ioctl(connected, termios.FIONREAD, size)
    return int.from_bytes(size, sys.byteorder)


def test_a_long_stream_is_complete_and_does_not_delay_others(stub):
    stub.open_many()
    slow, quick = stub.connect(), stub.connect()
    slow.request("sessions")
    # It does not read: what waits for it grows until the buffers on the way are full.
    assert settled(lambda: unread(slow.socket), "the buffers are full", SECONDS) > 0
    assert quick.call("status")["sessions"]["live"] == 20008
    assert len(quick.call("mappings")) > 20
    stream, response = slow.answer()
    assert response["result"]["count"] == len(stream) == 20008
    assert len({each["params"]["id"] for each in stream}) == 20008


def test_the_connection_of_a_client_that_does_not_read_is_closed(stub):
    stub.open_many()
    stuck = stub.connect()
    stuck.request("sessions")
    before = time.monotonic()

    def closed_and_others_answered():
        assert stub.call("forwards")["forwards"]
        return "connection closed" in stub.log()

    eventually(closed_and_others_answered, "the log says that its connection was closed", 30)
    assert time.monotonic() > before + 8
    assert "count" not in stuck.lines.read().decode().splitlines()[-1]


def test_a_client_that_closes_in_the_middle_does_no_harm(stub):
    stub.open_many()
    for method in ("sessions", "mappings", "forwards", "events", "status"):
        leaving = stub.connect()
        leaving.request(method)
        leaving.socket.recv(100)
        leaving.close()
    assert stub.call("status")["sessions"]["live"] == 20008
