"""The WavePaint network: wavelet token mixing (arXiv 2307.00407) in PyTorch."""
