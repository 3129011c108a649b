"""What a drill reports: the result as plain data, `drill.json`, `report.html`, and live progress on the terminal."""

from drillbed.report.document import drill_document, write_reports
from drillbed.report.progress import Progress

__all__ = ["Progress", "drill_document", "write_reports"]
