"""What libvips does not read or write of a container: PNG chunks, JPEG segments and blocks, TIFF directories.

Everything reads a seekable binary stream and only a few bytes of it; samples are decoded elsewhere.
"""
