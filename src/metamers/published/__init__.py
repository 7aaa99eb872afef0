"""The literature's data, put through the same analysis."""

from metamers.published.page import require_free, write_page
from metamers.published.replication import Replication, replicate

__all__ = ["Replication", "replicate", "require_free", "write_page"]
