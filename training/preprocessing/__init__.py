"""What is learnt from the training rows and travels inside `model.pt`."""
