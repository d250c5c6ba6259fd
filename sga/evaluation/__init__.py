"""How good the generated faces are: `sga evaluate`.

From code, for any folder that holds generator.json and generator.safetensors (a run's `gan/`, a snapshot of it), against the
real faces of a workspace whose style feature network is done:

    evaluate_generator(
        workspace: Workspace,
        gan_folder: Path,
        settings: EvaluationSettings,              # load_settings(EvaluationSettings, "evaluation", "quick", ["count=1000"])
        *,
        progress: bool = True,
    ) -> Report

Faces are drawn unselected, `settings.count` of each gender. The preset `quick` leaves out attributes, diversity and
memorisation: distances, precision and recall, and gender accuracy are left. What is the same for every generator (the referee,
the features of the real faces) is made at the first call and kept in `<workspace>/evaluation`; the report is returned, not
written.

    report.unselected.groups["female"].fid         # also .kid.value, .precision, .recall, .density, .coverage, .n, .n_real
    report.floor["female"].fid                     # real against real faces, at its own .n
    report.unselected.gender["overall"].value      # gender accuracy by the referee, of all genders alike
    report.as_json()                               # everything, for report.json

Groups are "overall" (genders as frequent as among the real faces) and every value of the schema's gender.
"""

from sga.evaluation.report import Likeness, Report, SourceReport
from sga.evaluation.run import evaluate, evaluate_generator, evaluation_folder
from sga.evaluation.settings import EvaluationSettings, RefereeSettings

__all__ = [
    "EvaluationSettings",
    "Likeness",
    "RefereeSettings",
    "Report",
    "SourceReport",
    "evaluate",
    "evaluate_generator",
    "evaluation_folder",
]
