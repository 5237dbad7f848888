"""The spool: what a dead process left on disk is adopted whole, and nobody takes it from a living one."""

from pathlib import Path

from gateway.spool import Spool


def test_the_next_process_adopts_the_lines_of_a_dead_one(tmp_path: Path) -> None:
    leave_behind(tmp_path, b"one\ntwo\n")

    adopted = Spool(tmp_path).adopt()

    assert adopted == [b"one", b"two"]


def test_a_line_that_was_torn_by_the_crash_is_dropped(tmp_path: Path) -> None:
    leave_behind(tmp_path, b"one\ntw")

    assert Spool(tmp_path).adopt() == [b"one"]


def test_adopted_lines_stay_on_disk_until_they_are_forgotten(tmp_path: Path) -> None:
    leave_behind(tmp_path, b"one\n")
    spool = Spool(tmp_path)

    spool.adopt()
    kept = [path.read_bytes() for path in tmp_path.iterdir()]
    spool.forget()

    assert kept == [b"one\n"]
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b""]


def test_the_file_of_a_living_process_is_left_alone(tmp_path: Path) -> None:
    living = Spool(tmp_path)
    living.keep([b"mine"])

    assert Spool(tmp_path).adopt() == []
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"mine\n"]


def test_lines_kept_after_forgetting_are_alone_in_the_file(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.keep([b"first"])
    spool.forget()

    spool.keep([b"second"])

    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"second\n"]


def test_a_folder_that_is_not_there_holds_nothing(tmp_path: Path) -> None:
    assert Spool(tmp_path / "nowhere").adopt() == []


def test_a_line_that_is_set_aside_is_kept_once_and_not_adopted(tmp_path: Path) -> None:
    spool = Spool(tmp_path)

    for line in (b"odd", b"even", b"odd"):
        spool.set_aside(line)
    spool.forget()

    assert Spool(tmp_path).adopt() == []
    assert (tmp_path / "settlements.unread").read_bytes() == b"odd\neven\n"


def leave_behind(folder: Path, content: bytes) -> None:
    """What a process that was killed leaves: a file that nobody holds."""
    (folder / "123-dead.jsonl").write_bytes(content)
