"""The parts of a published version: TorchScript, manifest, and the reproducibility check."""
