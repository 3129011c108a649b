"""What a drill reports: the result as plain data, `drill.json`, `report.html`, and live progress on the terminal."""
