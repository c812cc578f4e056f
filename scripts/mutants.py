"""Removes each barrier, wait and commit from the CUDA kernels in turn, plants each bug of scripts/planted_bugs.txt, and says
which tests notice: mutants.py [--build build-emulated] [--limit SECONDS] [--table FILE.md] [FILE.cu|FILE.h]...

A mutant is compiled and linked beside the build, never into it; the sources stay as they are. A test that fails, hangs or
crashes has caught it. The tests of a kernel file are those of tests/**/<stem>_test.{cpp,cu}; those of a header, the tests of
all kernel files that include it and the .cu tests that do. --table keeps the list of what was tried in a page, in which the
rows of the files tried now replace their older ones; scripts/house_rules.py compares it with the kernels as they are. A place
is a function and the number of the step in it, which other changes of the file leave alone. Exits 1 if a mutant survives that is not marked in its line: `// spare: why it is there`."""
import argparse
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections import defaultdict

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
STEP = re.compile(r"__syncthreads\(\)|__syncwarp\([^()]*\)|(?:simt::)?cp_async_wait<[^<>]*>\(\)|(?:simt::)?cp_async_commit\(\)")
TEST = re.compile(r"^\s*(?:TYPED_)?TEST(?:_[FP])?\s*\(\s*(\w+)\s*,", re.M)
INSTANTIATION = re.compile(r"^\s*INSTANTIATE_\w+\s*\(\s*(\w+)\s*,\s*(\w+)", re.M)


def walk(folder, endings):
    for path, folders, names in os.walk(os.path.join(ROOT, folder)):
        folders.sort()
        for name in sorted(names):
            if name.endswith(endings):
                yield os.path.relpath(os.path.join(path, name), ROOT)


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


def planted_bugs(text):
    """{file: [(text, what takes its place)]}"""
    found, path, old = {}, None, None
    for line in text.split("\n"):
        if line.startswith("- "):
            old = line[2:]
        elif line.startswith("+ "):
            found[path].append((old, line[2:]))
        elif line and not line.startswith("#"):
            path = line
            found[path] = []
    return found


def function_at(text, at):
    """The name of the function around a place: what opens the first body after the last definition that has ended."""
    start = max(text.rfind("\n}", 0, at), 0)
    body = re.compile(r"\)(?:\s*const)?\s*\{\n").search(text, start)
    depth, i = 0, body.start()
    while True:
        depth += {")": 1, "(": -1}.get(text[i], 0)
        if depth == 0:
            return re.search(r"(\w+)\s*$", text[:i]).group(1)
        i -= 1


def mutants_of(path, text, bugs):
    """(function, change, changed text, marked as spare); `bugs`: of planted_bugs()"""
    for old, new in bugs.get(path, []):
        if text.count(old) != 1:
            raise ValueError(f"scripts/planted_bugs.txt: {old!r} stands {text.count(old)} times in {path}")
        at = text.index(old)
        yield function_at(text, at), f"`{new}` for `{old}`", text[:at] + new + text[at + len(old):], False
    steps = defaultdict(int)
    for match in STEP.finditer(text):
        start = text.rfind("\n", 0, match.start()) + 1
        line = text[start:(text + "\n").index("\n", match.end())]
        if "//" in line[:match.start() - start]:
            continue
        function = function_at(text, match.start())
        steps[function] += 1
        yield (function, f"without step {steps[function]}, `{match.group()}`",
               text[:match.start()] + "((void)0)" + text[match.end():], "// spare:" in line)


def has_mutants(path):
    return path.endswith(".cu") if not path.startswith("kernels/cuda/") else path.endswith((".cu", ".h")) and path != "kernels/cuda/native.h"


def place_of(path, function, change):
    """How a row of the table begins."""
    return f"| `{path}` | `{function}` | {change.replace('|', chr(92) + '|')} |"


def includers(header, sources):
    """Of the sources, those that include the header, directly or not."""
    def includes(path, seen):
        for target in re.findall(r'^\s*#\s*include\s+"([^"]+)"', read(path), re.M):
            if target not in seen and os.path.exists(os.path.join(ROOT, target)):
                seen.add(target)
                includes(target, seen)
        return seen
    return [source for source in sources if header in includes(source, set())]


def filter_of(sources):
    """The gtest filter of the sources' own tests."""
    stems = set()
    for source in sources:
        stem = os.path.splitext(os.path.basename(source))[0]
        stems.add(stem)
        while "_" in stem and not os.path.exists(os.path.join(ROOT, "kernels", stem + ".h")):
            stem = stem.rpartition("_")[0]  # a part of the stem that its name begins with
            stems.add(stem)
    suites = set()
    for path in walk("tests", (".cpp", ".cu")):
        if path in sources or re.sub(r"_test\.(cpp|cu)$", "", os.path.basename(path)) in stems:
            text = read(path)
            suites.update(f"{suite}.*:{suite}/*" for suite in TEST.findall(text))
            suites.update(f"{instance}/{suite}.*" for instance, suite in INSTANTIATION.findall(text))
    return ":".join(sorted(suites))


class Build:
    def __init__(self, folder):
        self.folder = folder
        self.commands = subprocess.run(["ninja", "-t", "commands", "hinoki_tests"], cwd=folder, check=True, text=True,
                                       capture_output=True).stdout.splitlines()
        self.link = next(c for c in reversed(self.commands) if " -o hinoki_tests " in c)

    def compile_command(self, source):
        full = os.path.join(ROOT, source)
        return next(c for c in self.commands if c.endswith(f" -c {full}") or f" -c {full} " in c)

    def compile(self, source, overlay, output):
        """The mutated tree lies over the real one: its headers come first, and its source if it has one."""
        full, mutated = os.path.join(ROOT, source), os.path.join(overlay, source)
        command = shlex.split(self.compile_command(source))
        command = [word for word in command if not word.endswith("ccache")]
        original = command[command.index("-o") + 1]
        command[command.index("-o") + 1] = output
        if os.path.exists(mutated):
            command[command.index(full)] = mutated
        for option in ("-MF", "-MT"):
            if option in command:
                command[command.index(option) + 1] = output + ".d"
        command.insert(1, "-I" + overlay)
        command.append("-Wno-error")  # a variable that nobody uses any more is not what is to be found
        done = subprocess.run(command, cwd=self.folder, text=True, capture_output=True)
        return original, done

    def link_with(self, replaced, output):
        command = self.link
        for original, mutated in replaced.items():
            command = command.replace(f" {original} ", f" {mutated} ")
        command = command.replace(" -o hinoki_tests ", f" -o {output} ")
        return subprocess.run(command, shell=True, cwd=self.folder, text=True, capture_output=True)


def verdict(program, tests, limit):
    """(caught, the test that failed and what was seen first)"""
    try:
        done = subprocess.run([program, "--gtest_brief=1", "--gtest_fail_fast", "--gtest_filter=" + tests], text=True,
                              capture_output=True, timeout=limit)
    except subprocess.TimeoutExpired:
        return True, f"no end within {limit} s"
    output = done.stdout + done.stderr
    if done.returncode == 0:
        if not re.search(r"\[  PASSED  \] [1-9]", output):
            return None, "no test ran: " + tests
        return False, ""
    test = re.search(r"\[  FAILED  \] (\S+?)[,\s]", output)
    seen = re.search(r"\b(race|uninitialised|out of bounds|lanes diverge|threads diverge|deadlock|returned|undefined|another run|"
                     r"output \d+ is|not device memory)[^\n]*", output)
    return True, f"{test.group(1) if test else 'none ended'}: {seen.group()[:150] if seen else f'failed ({done.returncode})'}"


def try_mutant(build, path, text, sources, limit):
    with tempfile.TemporaryDirectory() as folder:
        os.makedirs(os.path.join(folder, os.path.dirname(path)))
        with open(os.path.join(folder, path), "w", encoding="utf-8") as file:
            file.write(text)
        replaced = {}
        for number, source in enumerate(sources):
            original, done = build.compile(source, folder, os.path.join(folder, f"{number}.o"))
            if done.returncode != 0:
                return None, "does not compile: " + (re.search(r"error: [^\n]*", done.stderr) or [done.stderr[:100]])[0]
            replaced[original] = os.path.join(folder, f"{number}.o")
        program = os.path.join(folder, "mutant")
        done = build.link_with(replaced, program)
        if done.returncode != 0:
            return None, "does not link: " + done.stderr[:200]
        return verdict(program, filter_of(sources), limit)


HEADING = """# Barriers removed and bugs planted, one by one

Written by `scripts/mutants.py --table docs/kernels-mutants.md`: each barrier, wait and commit of the CUDA kernels is taken out
alone, each bug of `scripts/planted_bugs.txt` is put in alone, and the tests of its file run on the emulator until one fails.

| file | function | change | caught by | as |
| --- | --- | --- | --- | --- |
"""


def write_table(path, tried):
    """`tried`: {file: [(function, change, kind, seen)]}"""
    rows = []
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            rows = [line for line in file.read().split("\n") if line.startswith("| `")]
    rows = [row for row in rows if row.split("`")[1] not in tried]
    for name, mutants in tried.items():
        for function, change, kind, seen in mutants:
            test, _, finding = seen.partition(": ") if kind == "caught" else (kind, "", seen)
            finding = re.split(r":| of \d+ bytes| at byte|, block", finding)[0].replace("|", "/")
            rows.append(f"{place_of(name, function, change)} {test} | {finding} |")
    rows.sort(key=lambda row: row.split("`")[1])  # and within a file as they stand there
    with open(path, "w", encoding="utf-8") as file:
        file.write(HEADING + "\n".join(rows) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build-emulated")
    parser.add_argument("--limit", type=float, default=120, help="seconds for the tests of one mutant")
    parser.add_argument("--table", help="Markdown page that lists all mutants")
    parser.add_argument("--list", action="store_true", help="only say what would be removed")
    parser.add_argument("files", nargs="*")
    options = parser.parse_args()
    bugs = planted_bugs(read("scripts/planted_bugs.txt"))
    sources = [path for path in walk("kernels", (".cu",))]
    tests_on_device = list(walk("tests", (".cu",)))
    files = options.files or sources + [path for path in walk("kernels/cuda", (".h",)) if has_mutants(path)]
    files = [os.path.relpath(os.path.abspath(file), ROOT) for file in files]
    build = None if options.list else Build(os.path.join(ROOT, options.build))
    sound = {}  # filter -> whether its tests pass without a mutant
    tried = {}
    counts = {"caught": 0, "survived": 0, "spare": 0, "unclear": 0}
    for path in files:
        tried[path] = []
        users = [path] if path.endswith(".cu") else includers(path, sources + tests_on_device)
        tests = filter_of(users)
        mutants = list(mutants_of(path, read(path), bugs))
        if build is not None and mutants and tests not in sound:
            sound[tests], seen = verdict(os.path.join(build.folder, "hinoki_tests"), tests, options.limit)
            if sound[tests] is not False:
                print(f"{path}: its tests fail as it is: {seen}")
                return 1
        for function, change, text, spare in mutants:
            if build is None:
                print(f"{path} {function}: {change}")
                continue
            caught, seen = try_mutant(build, path, text, users, options.limit)
            kind = "unclear" if caught is None else "caught" if caught else "spare" if spare else "survived"
            counts[kind] += 1
            tried[path].append((function, change, kind, seen))
            print(f"{path} {function}: {change}: {kind}{': ' if seen else ''}{seen}", flush=True)
    if build is not None and options.table:
        write_table(options.table, tried)
    if build is not None:
        print(", ".join(f"{count} {kind}" for kind, count in counts.items()))
    return 1 if counts["survived"] + counts["unclear"] else 0


if __name__ == "__main__":
    sys.exit(main())
