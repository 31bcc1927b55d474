"""Files and objects to samples and metadata, and back."""
