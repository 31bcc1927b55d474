"""Images and masks for training and evaluation."""
