from __future__ import annotations

from app.telemetry.drift_history import KEPT, DriftHistory


def test_columns_have_a_value_for_each_look_and_for_now() -> None:
    now: dict[tuple[str, ...], float] = {}
    history = DriftHistory(lambda: dict(now))
    history.look()  # nothing is known yet
    now["churn", "age"] = 0.1
    history.look()
    now |= {("churn", "age"): 0.2, ("churn", "income"): 0.5, ("iris", "petal"): 0.9}

    times, columns = history.of("churn")

    assert columns == {"age": [0.1, 0.2], "income": [None, 0.5]}
    assert times == sorted(times)
    assert len(times) == 2
    assert history.of("none") == ([], {})


def test_looks_of_more_than_a_day_ago_are_forgotten() -> None:
    looks = iter(range(KEPT + 11))
    history = DriftHistory(lambda: {("churn", "age"): float(next(looks))})
    for _ in range(KEPT + 10):
        history.look()

    assert history.of("churn")[1] == {"age": [float(look) for look in range(10, KEPT + 11)]}
