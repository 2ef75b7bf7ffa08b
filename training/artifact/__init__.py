"""TorchScript, manifest, and the proof that a version can be made again."""
