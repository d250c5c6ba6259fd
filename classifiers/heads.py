"""Heads on features, and what their logits mean."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from classifiers.backbones import Backbone, build_backbone
from labeling.schema import Schema

__all__ = ["Classifier", "probabilities"]


class Classifier(nn.Module):
    """A backbone with one linear head an attribute: a member of the ensemble (SGA-GAN 2.1)."""

    def __init__(self, backbone: Backbone, schema: Schema, dropout: float = 0.0) -> None:
        super().__init__()
        self.backbone = backbone
        self.dropout = nn.Dropout(dropout)
        self.heads = nn.Linear(backbone.width, schema.logit_width)

    @classmethod
    def build(
        cls, schema: Schema, name: str, *, pretrained: bool = False, dropout: float = 0.0, **arguments: Any
    ) -> Classifier:
        """A classifier on the timm backbone `name`; errors as `build_backbone`."""
        return cls(build_backbone(name, pretrained=pretrained, **arguments), schema, dropout)

    def forward(self, images: Tensor) -> Tensor:
        """(n, 3, h, w) in [-1, 1] → (n, schema.logit_width) logits."""
        logits: Tensor = self.heads(self.dropout(self.backbone(images)))
        return logits


def probabilities(schema: Schema, name: str, logits: Tensor, temperature: float = 1.0) -> Tensor:
    """(n, schema.logit_width) logits → (n, size) float32 probabilities of one attribute's values.

    Independent: columns no, yes. Ordinal: the regressed score in [0, 1] is shared out between its two neighbouring levels, so
    that the mean level of the probabilities is the score again.
    """
    attribute, out = schema[name], logits[:, schema.logit_slices[name]].float() / temperature
    if attribute.kind == "exclusive":
        return out.softmax(dim=1)
    score = out[:, 0].sigmoid()
    if attribute.kind == "independent":
        return torch.stack([1 - score, score], dim=1)
    level = torch.arange(attribute.size, device=score.device)
    return (1 - (score.unsqueeze(1) * (attribute.size - 1) - level).abs()).clamp(min=0)
