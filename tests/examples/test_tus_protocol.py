"""The example server speaks tus 1.0 to the letter: what the protocol says, said to real processes of it."""

from __future__ import annotations

import base64
import hashlib

import pytest

requests = pytest.importorskip("requests")
from tests.support.tus_fleet import (  # noqa: E402
    PATCH,
    TUS,
    Fleet,
    create,
    delete,
    fetched,
    get,
    head,
    moved,
    offset_of,
    patch,
    post,
    uid,
)

LARGEST = 2**40


def digest(data: bytes) -> str:
    return "sha1 " + base64.b64encode(hashlib.sha1(data).digest()).decode()


# --- what every answer has ----------------------------------------------------------------------------


def test_options_tell_what_the_server_can(fleet: Fleet) -> None:
    headers = requests.options(fleet.url(), timeout=10).headers
    assert headers["Tus-Version"] == "1.0.0"
    assert set(headers["Tus-Extension"].split(",")) == {"creation", "creation-defer-length", "checksum", "termination"}
    assert "sha1" in headers["Tus-Checksum-Algorithm"]
    assert headers["Tus-Max-Size"] == str(LARGEST)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("OPTIONS", "/files", 204),
        ("POST", "/files", 400),
        ("POST", "/files/", 400),
        ("PUT", "/files", 405),
        ("PUT", "/files/a", 405),
        ("BREW", "/files/a", 405),
        ("HEAD", "/files/a", 404),
        ("HEAD", "/files/a/b", 404),
        ("GET", "/files/a", 404),
        ("GET", f"/files/{'a' * 300}", 404),
        ("HEAD", f"/files/{'a' * 300}", 404),
        ("GET", "/files/..%2f..%2fpyproject.toml", 404),
        ("GET", "/", 404),
    ],
)
def test_every_answer_says_what_is_spoken(fleet: Fleet, method: str, path: str, status: int) -> None:
    at = fleet.url().removesuffix("/files")
    answer = requests.request(method, at + path, headers=TUS, timeout=10, allow_redirects=False)
    assert (answer.status_code, answer.headers["Tus-Resumable"]) == (status, "1.0.0")


def test_a_method_that_is_not_served_is_told_those_that_are(fleet: Fleet) -> None:
    allowed = requests.put(fleet.url() + "/a", headers=TUS, timeout=10).headers["Allow"]
    assert set(allowed.split(", ")) == {"OPTIONS", "HEAD", "GET", "PATCH", "DELETE"}


@pytest.mark.parametrize("version", ["0.9", "", "1.0.0, 1.0.0"])
def test_another_version_is_told_ours(fleet: Fleet, version: str) -> None:
    url = create(fleet)
    answer = requests.head(url, headers={"Tus-Resumable": version}, timeout=10)
    assert (answer.status_code, answer.headers["Tus-Version"]) == (412, "1.0.0")
    assert requests.post(fleet.url(), headers={"Upload-Length": "1"}, timeout=10).status_code == 412


# --- creation -----------------------------------------------------------------------------------------


def test_a_path_that_ends_in_a_slash_is_served(fleet: Fleet) -> None:
    answer = requests.post(fleet.url() + "/", headers=TUS | {"Upload-Length": "1"}, timeout=10, allow_redirects=False)
    assert answer.status_code == 201
    assert head(moved(answer.headers["Location"], fleet.url())).status_code == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 400),
        ({"Upload_Length": "5", "Upload_Defer_Length": "1"}, 400),
        ({"Upload_Defer_Length": "2"}, 400),
        ({"Upload_Length": "-1"}, 400),
        ({"Upload_Length": "1.0"}, 400),
        ({"Upload_Length": "٣"}, 400),
        ({"Upload_Length": str(LARGEST + 1)}, 413),
        ({"Upload_Length": "9" * 19}, 413),
        ({"Upload_Length": "5", "Upload_Concat": "partial"}, 400),
        ({"Upload_Concat": "final;/files/a /files/b"}, 400),
        ({"Upload_Length": "5", "Upload_Metadata": "name not-base64!!"}, 400),
        ({"Upload_Length": "5", "Upload_Metadata": "name YQ"}, 400),
        ({"Upload_Length": "5", "Upload_Metadata": "name YQ==,name YQ=="}, 400),
        ({"Upload_Length": "5", "Upload_Metadata": "name YQ==,,kind"}, 400),
        ({"Upload_Length": "5", "Upload_Metadata": "name YQ== YQ=="}, 400),
        ({"Upload_Length": "5", "Upload_Metadata": f"name {'YWFh' * 1024}"}, 431),
    ],
)
def test_a_creation_that_cannot_be_meant_is_refused(fleet: Fleet, headers: dict[str, str], status: int) -> None:
    encoded = {name: value.encode() for name, value in headers.items()}
    answer = post(fleet, **encoded)  # type: ignore[arg-type]
    assert answer.status_code == status
    assert "Location" not in answer.headers
    assert answer.text


@pytest.mark.parametrize("metadata", ["name YQ==", "name YQ==,kind YmI=, draft", "draft"])
def test_head_tells_what_there_is(fleet: Fleet, metadata: str) -> None:
    url = create(fleet, 10, Upload_Metadata=metadata)
    patch(url, 0, b"12345")
    answer = head(moved(url, fleet.url(1)))
    wanted = {"Upload-Offset": "5", "Upload-Length": "10", "Upload-Metadata": metadata, "Cache-Control": "no-store"}
    assert {header: answer.headers[header] for header in wanted} == wanted
    assert head(moved(url, fleet.url(1)) + "x").status_code == 404


# --- parts --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Tus_Resumable": "0.9"}, 412),
        ({"Content_Type": "text/plain"}, 415),
        ({"Content_Type": ""}, 415),
        ({"Upload_Offset": "x"}, 400),
        ({"Upload_Offset": "-1"}, 400),
        ({"Upload_Offset": ""}, 400),
        ({"Upload_Offset": "1"}, 409),
        ({"Upload_Length": "11"}, 409),
        ({"Upload_Length": "10", "Upload_Defer_Length": "1"}, 400),
        ({"Upload_Checksum": "crc32 AAAA"}, 400),
        ({"Upload_Checksum": "sha1 no"}, 400),
        ({"Upload_Checksum": "sha1 AAAA"}, 400),
        ({"Upload_Checksum": digest(b"x")}, 460),
    ],
)
def test_a_wrong_part_counts_nothing(fleet: Fleet, headers: dict[str, str], status: int) -> None:
    url = create(fleet)
    assert patch(url, 0, b"12345", **headers).status_code == status
    assert offset_of(url) == 0
    assert patch(url, 0, b"1234567890").status_code == 204
    assert fetched(fleet, url) == b"1234567890"


@pytest.mark.parametrize("kind", ["application/offset+octet-stream; charset=utf-8", "Application/Offset+Octet-Stream"])
def test_media_types_have_no_case_and_may_have_parameters(fleet: Fleet, kind: str) -> None:
    assert patch(create(fleet), 0, b"12345", Content_Type=kind).status_code == 204


@pytest.mark.parametrize(
    ("offset", "headers", "status"),
    [
        (7, {"Upload_Length": "9"}, 409),
        (0, {"Upload_Length": "9", "Upload_Checksum": digest(b"x")}, 460),
        (0, {"Upload_Length": "4"}, 413),
        (0, {"Upload_Length": str(LARGEST + 1)}, 413),
        (9, {"Upload_Length": "8"}, 400),
        (0, {"Upload_Length": "9", "Content_Type": "text/plain"}, 415),
    ],
)
def test_a_refused_part_declares_no_length(fleet: Fleet, offset: int, headers: dict[str, str], status: int) -> None:
    url = create(fleet, None)
    assert patch(url, offset, b"12345", **headers).status_code == status
    found = head(url).headers
    assert (found["Upload-Offset"], found["Upload-Defer-Length"]) == ("0", "1")
    assert "Upload-Length" not in found


def test_a_length_can_come_later(fleet: Fleet) -> None:
    url = create(fleet, None)
    patch(url, 0, b"123")
    assert patch(url, 3, b"45", Upload_Length="5").headers["Upload-Offset"] == "5"
    assert get(moved(url, fleet.url(1))).content == b"12345"
    assert patch(url, 5, b"", Upload_Length="6").status_code == 409


@pytest.mark.parametrize("checksum", [{}, {"Upload_Checksum": digest(b"")}], ids=["plain", "checksum"])
@pytest.mark.parametrize("data", [b"", b"abc"])
def test_a_length_that_completes_stores(fleet: Fleet, data: bytes, checksum: dict[str, str]) -> None:
    url = create(fleet, None)
    patch(url, 0, data)
    assert patch(url, len(data), b"", Upload_Length=str(len(data)), **checksum).status_code == 204
    answer = get(url)
    assert (answer.status_code, answer.content) == (200, data)


def test_an_empty_file_is_stored_when_it_is_created(fleet: Fleet) -> None:
    answer = get(create(fleet, 0))
    assert (answer.status_code, answer.content) == (200, b"")


def test_the_last_part_may_be_said_twice(fleet: Fleet) -> None:
    url = create(fleet, 5)
    assert patch(url, 0, b"hello").status_code == 204
    again = patch(moved(url, fleet.url(0)), 0, b"hello")
    assert (again.status_code, again.headers["Upload-Offset"]) == (409, "5")
    nothing = patch(moved(url, fleet.url(1)), 5, b"")
    assert (nothing.status_code, nothing.headers["Upload-Offset"]) == (204, "5")
    assert patch(url, 5, b"!").status_code == 413
    assert get(url).content == b"hello"


# --- termination, and methods by another one ----------------------------------------------------------


@pytest.mark.parametrize("sent", [0, 5, 10])
@pytest.mark.parametrize("size", [10, None])
def test_a_deleted_upload_is_gone_everywhere(fleet: Fleet, sent: int, size: int | None) -> None:
    url = create(fleet, size)
    if sent:
        patch(url, 0, b"1234567890"[:sent])
    before = get(url).status_code
    assert before == (200 if sent == size else 404)
    assert delete(url).status_code == 204
    for place in range(3):
        elsewhere = moved(url, fleet.url(place))
        answers = [head(elsewhere), patch(elsewhere, sent, b"67890"), delete(elsewhere), get(elsewhere)]
        assert {answer.status_code for answer in answers} == ({404} if before == 200 else {410})
    assert not fleet.part(url).exists()
    assert not (fleet.directory / "done" / uid(url)).exists()


def test_methods_may_come_by_another_one(fleet: Fleet) -> None:
    url = create(fleet, 5)

    def said(method: str, meant: str, data: bytes = b"", **headers: str) -> int:
        sent = {**PATCH, "X-HTTP-Method-Override": meant, **headers}
        return int(requests.request(method, url, data=data, headers=sent, timeout=10).status_code)

    assert said("POST", "PATCH", b"hel", **{"Upload-Offset": "0"}) == 204
    assert said("PUT", "PATCH", b"lo", **{"Upload-Offset": "3"}) == 204
    assert get(url).content == b"hello"
    assert said("POST", "HEAD") == 200
    assert said("POST", "PUT") == 405
    assert said("POST", "DELETE") == 204
    assert head(url).status_code == 404
