"""Loss terms: functions of tensors, one raw term each. Weights are applied in `sga.training.steps` alone."""

from sga.losses.acgan import gender_loss
from sga.losses.adversarial import ADVERSARIAL, AdversarialName
from sga.losses.dragan import PENALTIES, PenaltyName, dragan_penalty, r1_penalty
from sga.losses.style import style_loss

__all__ = [
    "ADVERSARIAL",
    "PENALTIES",
    "AdversarialName",
    "PenaltyName",
    "dragan_penalty",
    "gender_loss",
    "r1_penalty",
    "style_loss",
]
