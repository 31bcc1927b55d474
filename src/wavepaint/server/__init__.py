"""The HTTP application: `wavepaint serve`. Needs the extra `server`; importing this package loads none of it."""
