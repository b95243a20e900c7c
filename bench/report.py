#!/usr/bin/python3
"""Reads a suite's rows, one JSON object a line, from standard input; prints a table and writes them to files.

    bench/suites/cpu | bench/report.py --suite cpu --json rows.json --markdown docs/benchmarks.md

The Markdown file has a section for each suite; the suite's own is replaced.
"""

import argparse
import json
import os
import platform
import re
import subprocess
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


def machine():
    """The processor, its cores and what of its instructions matters."""
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        text = file.read()
    model = re.search(r"^model name\s*: (.*)$", text, re.MULTILINE)
    flags = re.search(r"^flags\s*: (.*)$", text, re.MULTILINE)
    has = set(flags.group(1).split()) if flags else set()
    known = ["avx2", "avx512f", "avx512_vnni", "avx512_vpopcntdq", "avx512_bf16", "amx_int8", "amx_bf16"]
    return (f"{model.group(1) if model else platform.machine()}, {len(os.sched_getaffinity(0))} cores; "
            + ", ".join(name for name in known if name in has))


def commit():
    command = ["git", "describe", "--always", "--dirty", "--abbrev=7", "--exclude=*"]
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
    return result.stdout.decode().strip() or "unknown"


def section(suite, rows):
    lines = [f"## {suite}", "", f"`./scripts/bench {suite}` at {commit()} on: {machine()}.", "",
             "| id | what | value | unit | target | command |", "| --- | --- | --- | --- | --- | --- |"]
    for row in rows:
        cells = [row["id"], row["what"], format_cell(row["value"]), row["unit"], format_cell(row["target"]), f"`{row['command']}`"]
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def with_section(text, suite, new):
    """`text` with the section of `suite` replaced, or added at its end."""
    head, *sections = re.split(r"^(?=## )", text, flags=re.MULTILINE)
    title = f"## {suite}\n"
    if not any(part.startswith(title) for part in sections):
        sections.append(title)
    parts = [new if part.startswith(title) else part for part in sections]
    return head.rstrip() + "\n\n" + "\n".join(part.rstrip() + "\n" for part in parts)


def write_atomically(path, text):
    temporary = path + ".tmp"
    with open(temporary, "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(temporary, path)


def write_markdown(path, suite, rows):
    text = "# Benchmarks\n\nWritten by `./scripts/bench SUITE --markdown docs/benchmarks.md`; `bench/README.md` says what a row is.\n"
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            text = file.read()
    write_atomically(path, with_section(text, suite, section(suite, rows)))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suite", required=True)
    parser.add_argument("--json", default="", help="file to write the rows to; empty = none")
    parser.add_argument("--markdown", default="", help="file whose section of the suite is replaced; empty = none")
    options = parser.parse_args()
    try:
        rows = [parse_row(line, options.suite) for line in sys.stdin if line.strip()]
    except ValueError as error:
        sys.exit(f"bench: {error}")
    if not rows:
        sys.exit(f"bench: the suite {options.suite} gave no rows")
    print_table(rows)
    if options.json:
        write_atomically(options.json, json.dumps(rows, indent=1, ensure_ascii=False) + "\n")
    if options.markdown:
        write_markdown(options.markdown, options.suite, rows)


if __name__ == "__main__":
    main()
