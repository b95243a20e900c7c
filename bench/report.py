#!/usr/bin/python3
"""Reads a suite's rows, one JSON object a line, from standard input; prints a table and writes them to a file.

    bench/suites/cpu | bench/report.py --suite cpu --json rows.json
"""

import argparse
import json
import os
import sys

FIELDS = ["id", "what", "value", "unit", "peer", "target", "command"]


def parse_row(line, suite):
    """One checked row; raises ValueError, saying what is wrong with it."""
    row = json.loads(line)
    if not isinstance(row, dict) or sorted(row) != sorted(FIELDS):
        raise ValueError(f"a row has exactly the fields {', '.join(FIELDS)}: {line.strip()}")
    if not str(row["id"]).startswith(suite + "."):
        raise ValueError(f"the id {row['id']} is not {suite}.<number>")
    if not isinstance(row["value"], (int, float)):
        raise ValueError(f"{row['id']}: the value is not a number")
    return row


def format_cell(value):
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) and abs(value) < 1e4 else (
        f"{value:,.0f}" if isinstance(value, (int, float)) else str(value))


def print_table(rows):
    columns = FIELDS[:-1]
    cells = [columns] + [[format_cell(row[column]) for column in columns] for row in rows]
    widths = [max(len(line[column]) for line in cells) for column in range(len(columns))]
    for line in cells:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip())


def write_atomically(path, rows):
    temporary = path + ".tmp"
    with open(temporary, "w", encoding="utf-8") as file:
        json.dump(rows, file, indent=1, ensure_ascii=False)
        file.write("\n")
    os.replace(temporary, path)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suite", required=True)
    parser.add_argument("--json", default="", help="file to write the rows to; empty = none")
    options = parser.parse_args()
    try:
        rows = [parse_row(line, options.suite) for line in sys.stdin if line.strip()]
    except ValueError as error:
        sys.exit(f"bench: {error}")
    if not rows:
        sys.exit(f"bench: the suite {options.suite} gave no rows")
    print_table(rows)
    if options.json:
        write_atomically(options.json, rows)


if __name__ == "__main__":
    main()
