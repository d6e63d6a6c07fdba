"""Jobs: durable, in turn, fair, stopped and taken up again. The work here is counting."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from llar.errors import Conflict, NotThere, QueryError, ServeError
from llar.serve.jobs import Jobs, Task


@pytest.fixture
def jobs(tmp_path: Path) -> Iterator[Jobs]:
    found = Jobs(tmp_path / "jobs.db")
    yield found
    found.close()


def until(jobs: Jobs, done: Callable[[], bool]) -> None:
    """Wait for it; a test that hangs fails by the clock of the whole suite."""
    version = -1
    while not done():
        version = jobs.changes(version, seconds=5)


def finished(jobs: Jobs, *ids: int) -> Callable[[], bool]:
    return lambda: not any(jobs.job(i).is_open for i in ids)


def quick(task: Task) -> Mapping[str, Any]:
    task.progress(1, 2)
    return {"by": task.job.user}


def test_a_job_is_done_and_says_so(jobs: Jobs) -> None:
    job = jobs.add("sync", "eva", collection="c", title="all", options={"n": 1})
    assert (job.id, job.state, job.options, job.rate, job.seconds_left) == (
        1, "queued", {"n": 1}, None, None,
    )  # fmt: skip
    jobs.start({"sync": quick})
    until(jobs, finished(jobs, 1))
    job = jobs.job(1)
    assert (job.state, job.done, job.total, job.result) == ("done", 1, 2, {"by": "eva"})
    assert job.started is not None
    assert job.finished is not None
    assert job.created <= job.started <= job.finished
    assert job.seconds_left == 0.0
    assert jobs.counts() == {"done": 1}


def test_rate_and_time_left_are_those_of_what_was_done(jobs: Jobs) -> None:
    seen = []

    def work(task: Task) -> Mapping[str, Any]:
        task._before = 10.0  # as if ten seconds had been worked on it in earlier turns
        task.progress(5, 20, 1_000, 5_000)
        seen.append(jobs.job(task.job.id))
        task.progress(5, 20)
        seen.append(jobs.job(task.job.id))
        return {}

    job = jobs.add("sync", "eva")
    jobs.start({"sync": work})
    until(jobs, finished(jobs, job.id))
    by_bytes, by_count = seen
    assert by_bytes.rate == pytest.approx(0.5, rel=0.05)  # 5 in 10 s
    assert by_bytes.seconds_left == pytest.approx(40, rel=0.05)  # 4,000 bytes at 100 a second
    assert by_count.seconds_left == pytest.approx(30, rel=0.05)  # 15 files at 0.5 a second


def test_what_fails_says_why_and_how_to_help(jobs: Jobs) -> None:
    def refuses(task: Task) -> Mapping[str, Any]:
        raise QueryError("it is too dark", fix="light a candle")

    def breaks(task: Task) -> Mapping[str, Any]:
        raise ZeroDivisionError("with text of a document")

    one, two = jobs.add("sync", "eva", collection="a"), jobs.add("pull", "eva")
    jobs.start({"sync": refuses, "pull": breaks})
    until(jobs, finished(jobs, one.id, two.id))
    failed = jobs.job(one.id)
    assert (failed.state, failed.error, failed.fix) == (
        "failed", "it is too dark", "light a candle",
    )  # fmt: skip
    assert jobs.job(two.id).error == "internal error: ZeroDivisionError"


def test_one_job_at_a_time_works_on_a_collection(jobs: Jobs) -> None:
    inside, most = 0, 0
    lock = threading.Lock()
    free = threading.Event()

    def work(task: Task) -> Mapping[str, Any]:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        free.wait(0.05)
        with lock:
            inside -= 1
        return {}

    ids = [jobs.add("sync", "eva", collection="c").id for _ in range(4)]
    jobs.start({"sync": work})
    until(jobs, finished(jobs, *ids))
    assert most == 1


def test_two_collections_are_worked_on_at_once(jobs: Jobs) -> None:
    both = threading.Barrier(2, timeout=20)  # breaks unless two stand at it together

    def work(task: Task) -> Mapping[str, Any]:
        both.wait()
        return {}

    ids = [jobs.add("sync", "eva", collection=name).id for name in "ab"]
    jobs.start({"sync": work})
    until(jobs, finished(jobs, *ids))
    assert [jobs.job(i).state for i in ids] == ["done", "done"]


def test_users_take_turns(jobs: Jobs) -> None:
    order: list[str] = []

    def work(task: Task) -> Mapping[str, Any]:
        order.append(task.job.user)
        return {}

    ids = [jobs.add("sync", user, collection="c").id for user in ("eva", "eva", "eva", "pau")]
    jobs.start({"sync": work})
    until(jobs, finished(jobs, *ids))
    assert order == ["eva", "pau", "eva", "eva"]  # pau came last and waits for one job only


def test_a_long_job_makes_way_and_goes_on(tmp_path: Path) -> None:
    jobs = Jobs(tmp_path / "jobs.db", turn=0.0)
    order: list[str] = []

    def long(task: Task) -> Mapping[str, Any]:
        for n in range(task.job.done, 3):
            order.append(f"{task.job.user} {n}")
            task.progress(n + 1, 3)
        return {}

    eva = jobs.add("sync", "eva", collection="c")
    pau = jobs.add("sync", "pau", collection="c")
    jobs.start({"sync": long, "make": long, "evaluate": long})
    until(jobs, finished(jobs, eva.id, pau.id))
    assert order == ["eva 0", "pau 0", "eva 1", "pau 1", "eva 2", "pau 2"]
    assert jobs.job(eva.id).done == 3
    order.clear()
    with jobs._lock:  # what would have to begin anew makes way for nobody
        makes, waits = jobs.add("make", "eva", collection="c"), jobs.add("evaluate", "pau")
    until(jobs, finished(jobs, makes.id, waits.id))
    assert order == ["eva 0", "eva 1", "eva 2", "pau 0", "pau 1", "pau 2"]
    jobs.close()


def test_cancelling_stops_what_runs_and_what_waits(jobs: Jobs) -> None:
    begun = threading.Event()

    def endless(task: Task) -> Mapping[str, Any]:
        begun.set()
        while True:
            task.progress(1, 2)

    runs, waits = (jobs.add("sync", "eva", collection="c").id for _ in range(2))
    jobs.start({"sync": endless})
    assert begun.wait(20)
    assert jobs.cancel(waits).state == "cancelled"
    jobs.cancel(runs)
    until(jobs, finished(jobs, runs))
    assert jobs.job(runs).state == "cancelled"
    assert jobs.cancel(runs).state == "cancelled"  # again: nothing more happens
    with pytest.raises(NotThere, match="no job 99"):
        jobs.cancel(99)


def test_retrying_takes_up_only_what_failed(jobs: Jobs) -> None:
    tries: list[str] = []

    def work(task: Task) -> Mapping[str, Any]:
        for file in jobs.files(task.job.id, state="queued"):
            tries.append(file.name)
            bad = file.name == "b" and tries.count("b") == 1
            jobs.settle(file, "failed" if bad else "done", error="locked" if bad else "")
        return {}

    job = jobs.add("reindex", "eva", collection="c", files=[("a", 10, "", {}), ("b", 30, "", {})])
    assert (job.total, job.total_bytes) == (2, 40)
    jobs.start({"reindex": work})
    until(jobs, finished(jobs, job.id))
    job = jobs.job(job.id)
    assert (job.state, job.done, job.failed, job.done_bytes) == ("done", 2, 1, 40)
    assert [(f.name, f.state, f.error) for f in jobs.files(job.id)] == [
        ("a", "done", ""),
        ("b", "failed", "locked"),
    ]
    assert jobs.retry(job.id).done == 1
    until(jobs, finished(jobs, job.id))
    assert tries == ["a", "b", "b"]
    assert jobs.job(job.id).failed == 0
    with pytest.raises(Conflict, match="nothing to try again"):
        jobs.retry(job.id)


def add_file(jobs: Jobs, user: str, name: str) -> int:
    job, _ = jobs.add_file(
        user, "c", name, staged=f"{name}.staged", size=5, sha256=name, metadata={"y": 1}
    )
    return job.id


def test_files_join_the_open_upload_of_their_user(jobs: Jobs) -> None:
    first = add_file(jobs, "eva", "a")
    assert add_file(jobs, "eva", "b") == first
    assert add_file(jobs, "pau", "c") != first
    assert (jobs.job(first).total, jobs.job(first).total_bytes) == (2, 10)
    assert jobs.waiting_files("eva") == 2
    assert jobs.staged() == {"a.staged", "b.staged", "c.staged"}
    mine = jobs.add_file(  # with other options it is a job of its own
        "eva", "c", "x", staged="x", size=5, sha256="x", metadata={}, options={"names": ["a"]}
    )[0]
    assert (mine.id != first, mine.options) == (True, {"names": ["a"]})
    jobs.cancel(mine.id)
    jobs.forget(job_id=mine.id)
    jobs.cancel(first)
    assert [f.state for f in jobs.files(first)] == ["cancelled", "cancelled"]
    assert jobs.waiting_files("eva") == 0
    assert add_file(jobs, "eva", "d") != first
    assert sorted(jobs.forget(job_id=first)) == ["a.staged", "b.staged"]
    with pytest.raises(NotThere):
        jobs.job(first)


def test_a_file_that_comes_while_its_job_ends_is_dealt_with(jobs: Jobs) -> None:
    rounds: list[list[str]] = []

    def work(task: Task) -> Mapping[str, Any]:
        files = jobs.files(task.job.id, state="queued")
        rounds.append([f.name for f in files])
        for file in files:
            jobs.settle(file, "done")
        if len(rounds) == 1:
            add_file(jobs, "eva", "late")  # after the work looked for the last time
        return {}

    job = add_file(jobs, "eva", "early")
    jobs.start({"upload": work})
    until(jobs, finished(jobs, job))
    assert rounds == [["early"], ["late"]]
    assert jobs.job(job).done == 2


def test_an_unfinished_job_goes_on_after_a_restart(tmp_path: Path) -> None:
    """As after SIGKILL: the file is left as it is while a job runs."""
    begun, leave = threading.Event(), threading.Event()

    def half(task: Task) -> Mapping[str, Any]:
        task.progress(1, 2)
        begun.set()
        leave.wait(20)
        return {}

    before = Jobs(tmp_path / "jobs.db")
    job = before.add("sync", "eva", collection="c")
    before.start({"sync": half})
    assert begun.wait(20)
    copy = tmp_path / "after.db"
    with sqlite3.connect(tmp_path / "jobs.db") as source, sqlite3.connect(copy) as target:
        source.backup(target)
    source.close()
    target.close()
    leave.set()
    before.close()
    after = Jobs(copy)
    found = after.job(job.id)
    assert (found.state, found.done) == ("running", 1)
    after.start({"sync": quick})
    until(after, finished(after, job.id))
    assert after.job(job.id).state == "done"
    after.close()


def test_closing_lets_a_running_job_go_on_later(tmp_path: Path) -> None:
    begun = threading.Event()

    def endless(task: Task) -> Mapping[str, Any]:
        begun.set()
        while True:
            task.progress(1, 2)

    first = Jobs(tmp_path / "jobs.db")
    job = first.add("sync", "eva", collection="c")
    first.start({"sync": endless})
    assert begun.wait(20)
    first.close()
    second = Jobs(tmp_path / "jobs.db")
    assert second.job(job.id).state == "queued"
    second.start({"sync": quick})
    until(second, finished(second, job.id))
    second.close()


def test_two_servers_cannot_work_on_the_same_jobs(tmp_path: Path, jobs: Jobs) -> None:
    jobs.start({})
    other = Jobs(tmp_path / "jobs.db")
    with pytest.raises(ServeError, match="another llar serve"):
        other.start({})
    other.close()


def test_what_is_finished_can_be_forgotten_by_user_and_collection(jobs: Jobs) -> None:
    ids = [jobs.add("sync", user, collection=name).id for user, name in
           (("eva", "a"), ("pau", "a"), ("eva", "b"))]  # fmt: skip
    with pytest.raises(Conflict, match="not finished"):
        jobs.forget(job_id=ids[0])
    for job in ids:
        jobs.cancel(job)
    jobs.forget(user="pau")
    assert [j.id for j in jobs.jobs()] == [ids[2], ids[0]]
    jobs.forget(collection="a")
    assert [j.id for j in jobs.jobs()] == [ids[2]]
    assert jobs.jobs(user="pau") == []
    assert jobs.jobs(open_only=True) == []
