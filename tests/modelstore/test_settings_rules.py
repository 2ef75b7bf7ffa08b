"""Rules between settings: what contradicts another setting is refused, and why."""

from __future__ import annotations

import pytest

from modelstore.overrides import SETTINGS, LearnerName
from modelstore.settings_rules import require_held_out_rows, require_own_settings


def test_a_setting_of_another_learner_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="settings of learner 'linear', which are learner, seed; 'dropout' is for mlp"):
        require_own_settings("linear", ["seed", "dropout"])


@pytest.mark.parametrize("learner", SETTINGS)
def test_only_networks_with_epochs_need_validation_rows_to_choose_a_decision(learner: LearnerName) -> None:
    require_held_out_rows(learner, 0.2)
    if learner == "mlp":
        with pytest.raises(ValueError, match="a validation_fraction above 0 for a decision"):
            require_held_out_rows(learner, 0.0)
    elif "epochs" not in SETTINGS[learner]:
        require_held_out_rows(learner, 0.0)
