"""From trained networks to the model folder that drawing needs."""
