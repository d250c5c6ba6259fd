"""What a picture shows: the torch runtime, backbones, masked losses, the ensemble, label completion, the style feature
network."""
