"""What libvips does not read or write of a container: PNG chunks, JPEG segments and blocks, TIFF directories."""
