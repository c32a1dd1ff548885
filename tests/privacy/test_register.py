"""What shoppers said: kept by keyed hash, the last word counts, and damage is never consent."""

import os
import threading
from pathlib import Path

import pytest

from fedguide.errors import ConfigError, DataError
from fedguide.privacy import register as register_module
from fedguide.privacy.register import Register, Rights

KEY = bytes(range(32))


def register(path: Path, key: bytes = KEY) -> Register:
    return Register(path / "shoppers.txt", key, lambda: 1_700_000_000)


def test_the_last_word_counts(tmp_path: Path) -> None:
    book = register(tmp_path)
    assert book.said("ann") is None
    assert book.record(["ann", "bob", "ann"], "out") == 2
    assert book.record(["ann"], "out") == 0
    assert book.record(["ann"], "in") == 1
    assert (book.said("ann"), book.said("bob"), book.said("eve")) == ("in", "out", None)
    assert (tmp_path / "shoppers.txt").read_text().count("\n") == 4


def test_erased_is_for_ever(tmp_path: Path) -> None:
    book = register(tmp_path)
    book.record(["ann"], "erased")
    with pytest.raises(ConfigError, match="were erased, and stay so"):
        book.record(["bob", "ann"], "in")
    assert book.said("bob") is None
    assert book.record(["ann"], "erased") == 0
    # Nor does a line that somebody adds bring her back.
    with (tmp_path / "shoppers.txt").open("a") as file:
        file.write(f"0 {book.pseudonym('ann')} in\n")
    assert book.said("ann") == "erased"


def test_no_id_is_in_the_file_and_no_guess_works_without_the_key(tmp_path: Path) -> None:
    book = register(tmp_path)
    book.record(["ann-7311", "茶"], "out")
    text = (tmp_path / "shoppers.txt").read_bytes()
    assert b"ann-7311" not in text
    assert "茶".encode() not in text
    assert book.pseudonym("ann-7311").encode() in text
    other = register(tmp_path, bytes(32))
    assert other.pseudonym("ann-7311") != book.pseudonym("ann-7311")
    with pytest.raises(DataError, match="another key"):
        other.said("ann-7311")
    # HMAC-SHA-256 as RFC 2104 has it, under a label of its own.
    import hashlib

    pads = [bytes(k ^ pad for k in KEY + bytes(32)) for pad in (0x36, 0x5C)]
    inner = hashlib.sha256(pads[0] + b"fedguide/shopper\0ann").digest()
    assert book.pseudonym("ann") == hashlib.sha256(pads[1] + inner).hexdigest()


def test_another_process_is_heard_at_once(tmp_path: Path) -> None:
    serving, telling = register(tmp_path), register(tmp_path)
    assert serving.said("ann") is None
    telling.record(["ann"], "out")
    assert serving.said("ann") == "out"
    telling.record(["ann"], "in")
    assert serving.said("ann") == "in"


def test_many_write_at_once(tmp_path: Path) -> None:
    names = [f"shopper{n}" for n in range(40)]
    threads = [
        threading.Thread(target=register(tmp_path).record, args=([name], "out")) for name in names
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(register(tmp_path).said(name) == "out" for name in names)
    assert len((tmp_path / "shoppers.txt").read_text().splitlines()) == 41


def test_two_first_writers_make_one_head(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second has opened the empty file already when the first writes."""
    first, second = register(tmp_path), register(tmp_path)
    lock, path = register_module.fcntl.flock, tmp_path / "shoppers.txt"

    def overtaken(file, how) -> None:
        monkeypatch.setattr(register_module.fcntl, "flock", lock)
        first.record(["ann"], "out")
        lock(file, how)

    monkeypatch.setattr(register_module.fcntl, "flock", overtaken)
    second.record(["bob"], "out")
    assert path.read_text().count("fedguide-shoppers-1") == 1
    assert [register(tmp_path).said(name) for name in ("ann", "bob")] == ["out", "out"]


def test_a_reader_waits_for_a_long_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    book, path = register(tmp_path), tmp_path / "shoppers.txt"
    book.record(["ann"], "out")
    whole = path.read_bytes()
    heard: list[object] = []
    came, lock = threading.Event(), register_module.fcntl.flock

    def noted(file, how) -> None:
        came.set()
        lock(file, how)

    def read() -> None:
        try:
            heard.append(register(tmp_path).said("ann"))
        except DataError as error:
            heard.append(error)
        came.set()

    reader = threading.Thread(target=read)
    with path.open("r+b") as file:
        lock(file, register_module.fcntl.LOCK_EX)
        file.truncate(len(whole) - 10)
        monkeypatch.setattr(register_module.fcntl, "flock", noted)
        reader.start()
        came.wait()
        file.seek(0)
        file.write(whole)
    reader.join()
    assert heard == ["out"]


def test_silence_is_yes_or_no_as_configured(tmp_path: Path) -> None:
    book = register(tmp_path)
    for name in ("in", "out", "erased"):
        book.record([name], name)
    opt_out, opt_in = Rights(book), Rights(book, consent_needed=True)
    names = ("in", "out", "erased", "silent")
    assert [opt_out.allows(name) for name in names] == [True, False, False, True]
    assert [opt_in.allows(name) for name in names] == [True, False, False, False]
    assert [opt_in.keeps(name) for name in names] == [True, True, False, True]


@pytest.mark.parametrize("change", ["cut", "line", "name", "word", "head", "bytes"])
def test_damage_is_an_error(tmp_path: Path, change: str) -> None:
    book, path = register(tmp_path), tmp_path / "shoppers.txt"
    book.record(["ann"], "out")
    text = path.read_bytes()
    damaged = {
        "cut": text[:-1],
        "line": text + b"\n",
        "name": text + b"0 ab out\n",
        "word": text.replace(b" out", b" yes"),
        "head": text.replace(b"shoppers-1", b"shoppers-2"),
        "bytes": text + b"\xff\n",
    }
    path.write_bytes(damaged[change])
    for act in (lambda: book.said("ann"), lambda: book.record(["bob"], "out")):
        with pytest.raises(DataError, match="damaged"):
            act()


def test_what_cannot_be_used_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="32 bytes"):
        register(tmp_path, b"short")
    (tmp_path / "shoppers.txt").mkdir()
    with pytest.raises(DataError, match="cannot be used"):
        register(tmp_path).record(["ann"], "out")
    with pytest.raises(DataError, match="cannot be used"):
        register(tmp_path).said("ann")
    with pytest.raises(DataError, match="cannot be used"):
        register(tmp_path / "none").record(["ann"], "out")
    assert os.listdir(tmp_path) == ["shoppers.txt"]  # noqa: PTH208


def test_an_empty_file_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "shoppers.txt").touch()
    book = register(tmp_path)
    assert book.said("ann") is None
    book.record(["ann"], "out")
    assert book.said("ann") == "out"
