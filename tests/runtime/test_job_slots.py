"""Places of parallel jobs."""

from shiftbench.runtime.job_slots import take_place

LAUNCHER = {"n_jobs": 2}


def test_jobs_of_two_commands_have_different_places(tmp_path, monkeypatch):
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "SHIFTBENCH_PLACE"):
        monkeypatch.setenv(name, "1")
    places = [take_place(LAUNCHER, tmp_path) for _ in range(4)]
    assert [place.number for place in places] == [0, 1, 2, 3]
    places[1].lock.release()
    assert take_place(LAUNCHER, tmp_path).number == 1
