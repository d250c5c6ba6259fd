"""Loss terms: functions of tensors, one raw term each. Weights are applied in `sga.training.steps` alone."""

from sga.losses.acgan import forward_gender_loss, gender_loss, soft_gender_loss
from sga.losses.adversarial import ADVERSARIAL, AdversarialName
from sga.losses.dragan import PENALTIES, PenaltyName, dragan_penalty, r1_penalty
from sga.losses.spectral import SpectralExcess, spectrum
from sga.losses.style import style_loss
from sga.losses.tags import tag_loss

__all__ = [
    "ADVERSARIAL",
    "PENALTIES",
    "AdversarialName",
    "PenaltyName",
    "SpectralExcess",
    "dragan_penalty",
    "forward_gender_loss",
    "gender_loss",
    "r1_penalty",
    "soft_gender_loss",
    "spectrum",
    "style_loss",
    "tag_loss",
]
