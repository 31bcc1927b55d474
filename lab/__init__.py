"""Studies, benchmarks, peers and releases: what the repository needs and no user installs.

Importing it adds its methods and metrics to those that an evaluation knows.
"""

from lab.registered import register

register()
