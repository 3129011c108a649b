"""A module for each managed object of vim25: its record, its properties, its operations."""
