"""PostgreSQL and Valkey from wheels, run under the data folder when no server is named.

`locations` is cheap and pure: settings call it in every process. Starting and stopping live in
`config.embedded.postgres`, `config.embedded.valkey` and `config.embedded.services`.
"""

from config.embedded.locations import LAYOUT, Locations, locations

__all__ = ["LAYOUT", "Locations", "locations"]
