"""Counts the instructions of the pure parts of a message's way (HotPaths) with callgrind and holds them against what was recorded.

    paths.py BINARY [--record] [--only TEXT]

Two runs of different length and their difference leave the start of the program out: the same binary counts the same on any
x86-64 machine, whatever else it does. --record writes what was counted to paths.json. A path more than 5 % above its record
is named, and the exit status is 1.
"""

import argparse, json, pathlib, re, subprocess, sys
from concurrent.futures import ThreadPoolExecutor

words = argparse.ArgumentParser(prog="ops/bench paths")
words.add_argument("binary")
words.add_argument("--record", action="store_true")
words.add_argument("--only", default="", help="paths whose name holds this")
words = words.parse_args()
TOLERANCE, FEW, MANY = 1.05, 20, 220
file = pathlib.Path(__file__).with_name("paths.json")
recorded = json.loads(file.read_text()) if file.exists() else {}


def instructions(name, count):
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", words.binary, name, str(count)]
    ran = subprocess.run(command, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return int(re.search(r"Collected : (\d+)", ran.stderr).group(1))


def count(name):
    return name, round((instructions(name, MANY) - instructions(name, FEW)) / (MANY - FEW))


names = subprocess.run([words.binary], capture_output=True, text=True, check=True).stdout.split()
slower = []
print("| %-26s | %12s | %12s | %6s |" % ("path", "instructions", "recorded", "ratio"))
with ThreadPoolExecutor(2) as pool:
    for name, found in pool.map(count, [name for name in names if words.only in name]):
        before = recorded.get(name)
        print("| %-26s | %12d | %12s | %6s |" % (name, found, before or "-", "%.2f" % (found / before) if before else "-"), flush=True)
        if before and found > before * TOLERANCE:
            slower.append("%s: %.0f %% slower" % (name, 100 * (found / before - 1)))
        recorded[name] = found
if words.record:
    file.write_text(json.dumps({name: recorded[name] for name in names if name in recorded}, indent=1) + "\n")
elif slower:
    sys.exit("slower than recorded: " + "; ".join(slower))
