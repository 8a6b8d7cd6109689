"""What a model is worth: manifests, their scans, statistics; shared by evaluation and training."""
