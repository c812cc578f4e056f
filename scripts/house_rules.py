"""Checks the rules of the house and prints how much there is of it: house_rules.py [ROOT] | --self-test

  floors   includes go down only: core/base, kernels, core, then data and models side by side, then train
  length   no source file has over 400 lines
  exits    only train/main.cpp ends the process, and the rank whose MPI hangs
  tested   every op and every kernel has tests/**/<stem>_test.cpp, and every function of core/ops.h stands in a test by op_check
  roofline every CUDA kernel stands in docs/kernels-roofline.md with what it should reach
  mutants  every barrier, wait, commit and planted bug of scripts/mutants.py stands in docs/kernels-mutants.md, and no others
  names    what an unnamed namespace holds is called like nothing else in the program, or in the tests (where each has a
           namespace of its own), so that files can be compiled together (HINOKI_UNITY) and mean the same
  paths    nothing names a place of the machine it was written on

Exits 1 if one is broken. --self-test breaks each in a temporary tree and expects to be told."""
import os
import re
import sys
import tempfile
from collections import defaultdict

import mutants

FLOORS = [("core/base/", 0), ("kernels/", 1), ("core/", 2), ("data/", 3), ("models/", 3), ("train/", 4)]  # first match counts
SOURCES = (".h", ".cpp", ".cu", ".cuh", ".py", ".sh")
TEXTS = SOURCES + (".md", ".txt", ".toml", ".json", ".cmake")
SKIPPED = {".git", ".venv", ".bundle", "build", "runs", "corpus", "__pycache__", "golden"}
LONGEST = 400

INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.M)
ENDS = re.compile(r"(?<![\w.>])(?:std\s*::\s*|::\s*)?(?:_?exit|_Exit|quick_exit|abort|terminate)\s*\(")
MACHINE = re.compile(r"(?<![\w.])/(?:work|root|home/\w+|Users/\w+)/")
KERNEL = re.compile(r"__global__\s+void\s+(?:__launch_bounds__\((?:[^()]|\([^()]*\))*\)\s*)?(\w+)\s*\(")
OP = re.compile(r"^(?:Tensor|Normed|std::\w+<[^()]*>) (\w+)\(", re.M)
# Ops that op_check has nothing to say of, and why.
UNCHECKED = {"attention_cached": "has no gradient; its bits are attention's", "scale_gradient": "is no derivative, on purpose"}
NO_CODE = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"', re.S)


def floor_of(path):
    return next((floor for folder, floor in FLOORS if path.startswith(folder)), None)


def read_tree(root):
    """{path: text} of the files that are ours."""
    files = {}
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if name not in SKIPPED and not name.startswith("build-"))
        for name in sorted(names):
            path = os.path.relpath(os.path.join(folder, name), root)
            if name.endswith(TEXTS) and not os.path.islink(os.path.join(folder, name)):
                with open(os.path.join(folder, name), encoding="utf-8", errors="replace") as file:
                    files[path] = file.read()
    return files


def check_floors(files):
    for path, text in files.items():
        floor = floor_of(path)
        if floor is None or not path.endswith((".h", ".cpp", ".cu", ".cuh")):
            continue
        for target in INCLUDE.findall(text):
            other = floor_of(target)
            if other is None:
                yield f"{path} includes \"{target}\", which is on no floor of the house"
            elif other > floor:
                yield f"{path} includes \"{target}\" from a floor above"
            elif other == floor and path.split("/")[0] != target.split("/")[0]:
                yield f"{path} includes \"{target}\": data and models stand side by side"


def check_length(files):
    for path, text in files.items():
        lines = text.count("\n")
        if path.endswith(SOURCES) and lines > LONGEST:
            yield f"{path} has {lines} lines, over {LONGEST}"


# Where a call into MPI never comes back, there is nobody to catch an Error.
ENDING = {"train/main.cpp", "train/communicator_mpi.cpp"}


def check_exits(files):
    for path, text in files.items():
        if floor_of(path) is None or path in ENDING or not path.endswith((".h", ".cpp", ".cu", ".cuh")):
            continue
        code = NO_CODE.sub(lambda match: "\n" * match.group().count("\n"), text)
        for match in ENDS.finditer(code):
            yield f"{path}:{code.count(chr(10), 0, match.start()) + 1} ends the process: throw an Error, main() turns it into a code"


def check_tested(files):
    tests = {os.path.basename(path).removesuffix("_test.cpp") for path in files if path.startswith("tests/")
             and path.endswith("_test.cpp")}
    for path in files:
        if re.fullmatch(r"(core/ops|kernels)/\w+\.(cpp|cu)", path):
            stem = os.path.splitext(os.path.basename(path))[0]
            # A file without a header of its own is a part of the stem that its name begins with.
            while f"kernels/{stem}.h" not in files and path.startswith("kernels/") and "_" in stem:
                stem = stem.rpartition("_")[0]
            if stem not in tests:
                yield f"{path} has no test tests/**/{stem}_test.cpp"
    checked = "".join(text for path, text in files.items() if path.startswith("tests/ops/") and "check_op(" in text)
    for name in OP.findall(files.get("core/ops.h", "")):
        if name not in UNCHECKED and not re.search(rf"\b{name}\(", checked):
            yield f"core/ops.h: {name} is in no test of tests/ops that calls check_op"


def check_roofline(files):
    written = set(re.findall(r"`(\w+)`", files.get("docs/kernels-roofline.md", "")))
    for path, text in files.items():
        if re.fullmatch(r"kernels/(cuda/)?\w+\.(cu|h)", path):
            for name in KERNEL.findall(text):
                if name not in written:
                    yield f"{path}: {name} has no line in docs/kernels-roofline.md"


TABLE = "docs/kernels-mutants.md"


def check_mutants(files):
    rows = [row for row in files.get(TABLE, "").split("\n") if row.startswith("| `")]
    bugs = mutants.planted_bugs(files.get("scripts/planted_bugs.txt", ""))
    wanted = []
    for path, text in files.items():
        if path.startswith("kernels/") and mutants.has_mutants(path):
            try:
                wanted += [mutants.place_of(path, function, change) for function, change, *_ in mutants.mutants_of(path, text, bugs)]
            except ValueError as wrong:
                yield str(wrong)
    for place in wanted:
        if not any(row.startswith(place) for row in rows):
            yield f"{TABLE} has no row {place}: run scripts/mutants.py --table {TABLE} on the file"
    for row in rows:
        if not any(row.startswith(place) for place in wanted):
            yield f"{TABLE} has a row of what is no more: {row}"


HIDDEN = re.compile(r"^namespace \{$(.*?)^\}  // namespace$", re.M | re.S)
DECLARED = re.compile(r"^(?:struct|class|enum class|enum|union|using) (\w+)(?= |;)|"
                      r"^(?![#}/\s]|using |namespace |return )[^=({\n]*?(?<=[ *&])(\w+)(?:\[\w*\])?(?: = |\(|\{|;)", re.M)
NAMESPACE = re.compile(r"^namespace ([\w:]+) \{$", re.M)
TEMPLATE = re.compile(r"^template <.*>\n?", re.M)


def declared(text):
    return {match.group(1) or match.group(2) for match in DECLARED.finditer(TEMPLATE.sub("", text))}


def hidden(text):
    """{"namespace::name"} of all that unnamed namespaces hold; a test's namespace is its own, the others' are "hinoki"."""
    for part in HIDDEN.finditer(text):
        around = NAMESPACE.findall(text, 0, part.start())
        yield from (f"{around[-1] if around else 'hinoki'}::{name}" for name in declared(part.group(1)))


def check_names(files):
    program = {path: text for path, text in files.items() if floor_of(path) is not None and not path.startswith("kernels/")}
    tests = {path: text for path, text in files.items() if path.startswith("tests/") and not path.startswith("tests/fuzz/")}
    for sources, headers in (program, program), (tests, program | tests):
        owners = defaultdict(set)
        for path, text in headers.items():
            if path.endswith(".h"):
                for name in declared(text):
                    owners[f"hinoki::{name}"].add(path)
        names_of = {path: set(hidden(text)) for path, text in sources.items() if path.endswith(".cpp")}
        for path, names in names_of.items():
            for name in names:
                owners[name].add(path)
        for path, names in names_of.items():
            for name in sorted(names):
                if others := owners[name] - {path}:
                    yield f"{path} hides a {name}, and there is one in {min(others)}: call it what it is"


def check_paths(files):
    for path, text in files.items():
        if path == "scripts/house_rules.py":
            continue
        for number, line in enumerate(text.split("\n"), 1):
            if MACHINE.search(line):
                yield f"{path}:{number} names a place of one machine: {MACHINE.search(line).group()}"


RULES = {"floors": check_floors, "length": check_length, "exits": check_exits, "tested": check_tested,
         "roofline": check_roofline, "mutants": check_mutants, "names": check_names, "paths": check_paths}


def violations(files):
    return [f"{rule}: {complaint}" for rule, check in RULES.items() for complaint in check(files)]


def print_sizes(files):
    sizes = defaultdict(lambda: [0, 0])
    for path, text in files.items():
        if path.endswith(SOURCES):
            parts = path.split("/")
            folder = "/".join(parts[:2]) if parts[0] in ("core", "tests") and len(parts) > 2 else parts[0]
            sizes[folder][0] += 1
            sizes[folder][1] += text.count("\n")
    for folder, (count, lines) in sorted(sizes.items()):
        print(f"{folder:16} {count:4} files {lines:6} lines")
    print(f"{'all':16} {sum(n for n, _ in sizes.values()):4} files {sum(n for _, n in sizes.values()):6} lines")


SOUND = {
    "core/base/check.h": "#pragma once\n#include <string>\n",
    "kernels/gemm.h": '#include "core/base/check.h"\n',
    "kernels/gemm.cpp": '#include "kernels/gemm.h"\n',
    "kernels/gemm.cu": "template <class T>\n__global__ void __launch_bounds__(kOf(32))\n    multiply(const T* a) {\n  __syncthreads();\n  // __syncthreads()\n  __syncthreads();\n}\n",
    "docs/kernels-mutants.md": "| `kernels/gemm.cu` | `multiply` | without step 1, `__syncthreads()` | Gemm.Is | race |\n"
                               "| `kernels/gemm.cu` | `multiply` | without step 2, `__syncthreads()` | Gemm.Is | race |\n",
    "docs/kernels-roofline.md": "| `multiply` | 1 |\n",
    "kernels/gemm_grad.cpp": '#include "kernels/gemm.h"\n',
    "core/ops.h": "Tensor linear(const Tensor& x);\n",
    "core/ops/linear.cpp": '#include "kernels/gemm.h"\n// exit( and abort( in words\nconst char* s = "exit(1)";\nx.exit();\n',
    "data/text.h": '#include "core/base/check.h"\n',
    "data/text.cpp": "namespace {\nusing Clock = int;\nvoid run(int a) {\n  int inner = 1;\n}\nconst int* kMost;\n}  // namespace\nvoid shown() {}\n",
    "models/gpt.cpp": "namespace {\nvoid inner(std::function<double(int)> f);\n}  // namespace\nvoid shown(int a) {}\n",
    "models/gpt.h": '#include "core/base/check.h"\nstruct Gpt {\n  int inner;\n};\n',
    "train/main.cpp": '#include "models/gpt.h"\nint main() { std::abort(); }\n',
    "tests/kernels/gemm_test.cpp": '#include "kernels/gemm.h"\nnamespace hinoki::gemm_test {\nnamespace {\nvoid run(int a) {\n}\n}  // namespace\n}\n',
    "tests/train/run_test.cpp": "namespace hinoki::run_test {\nnamespace {\nvoid run(int a) {\n}\nstruct Gpt {\n};\n}  // namespace\n}\n",
    "tests/ops/linear_test.cpp": "check_op(linear(x))\n" + "x\n" * (LONGEST - 1),
    "README.md": "See /usr/share/doc and ./work/ and core/base/.\n",
}
BROKEN = [  # (rule, path, text or None: without the file)
    ("floors", "kernels/gemm.h", '#include "core/tensor.h"\n'),
    ("floors", "core/base/check.h", '  #  include "kernels/gemm.h"\n'),
    ("floors", "core/ops/linear.cpp", '#include "train/run.h"\n'),
    ("floors", "data/text.h", '#include "models/gpt.h"\n'),
    ("floors", "models/gpt.h", '#include "data/text.h"\n'),
    ("floors", "data/text.h", '#include "tests/support/op_check.h"\n'),
    ("length", "data/text.h", "\n" * (LONGEST + 1)),
    ("length", "scripts/long.py", "\n" * (LONGEST + 1)),
    ("exits", "data/text.h", "void f() { exit(1); }\n"),
    ("exits", "data/text.h", "/* a */ void f() { std::abort (); }\n"),
    ("exits", "train/run.cpp", "void f() { ::_exit(1); }\n"),
    ("exits", "train/run.cpp", "void f() { std::quick_exit(1); }\n"),
    ("tested", "kernels/softmax.cpp", "\n"),
    ("tested", "core/ops/gelu.cpp", "\n"),
    ("tested", "tests/ops/linear_test.cpp", None),
    ("tested", "tests/ops/linear_test.cpp", "linear(x)\n"),
    ("tested", "core/ops.h", "Tensor linear(const Tensor& x);\nTensor gelu(const Tensor& x);\n"),
    ("roofline", "kernels/cuda/more.h", "__global__ void add(int* a);\n"),
    ("roofline", "docs/kernels-roofline.md", "multiply\n"),
    ("mutants", "docs/kernels-mutants.md", None),
    ("mutants", "docs/kernels-mutants.md", "| `kernels/gemm.cu` | `multiply` | without step 1, `__syncthreads()` | Gemm.Is | race |\n"),
    ("mutants", "kernels/cuda/more.h", "inline void add() {\n  cp_async_wait<0>();\n}\n"),
    ("mutants", "kernels/gemm.cu", "template <class T>\n__global__ void multiply(T* a) {\n  __syncthreads();\n}\n"),
    ("mutants", "scripts/planted_bugs.txt", "kernels/gemm.cu\n- const T* a\n+ T* a\n"),
    ("names", "core/ops/linear.cpp", "namespace {\n\ntemplate <class T>\nstd::map<int, T> run(\n    int a) {\n}\n}  // namespace\n"),
    ("names", "core/ops/linear.cpp", "namespace {\nstruct Gpt {\n};\n}  // namespace\n"),
    ("names", "core/ops/linear.cpp", "namespace {\nconstexpr int kMost = 3;\n}  // namespace\n"),
    ("names", "core/ops/linear.cpp", "namespace {\nusing Clock = int;\n}  // namespace\n"),
    ("names", "tests/train/run_test.cpp", "namespace hinoki::gemm_test {\nnamespace {\nvoid run(int b) {\n}\n}  // namespace\n}\n"),
    ("names", "tests/train/run_test.cpp", "namespace hinoki {\nnamespace {\nstruct Gpt {\n};\n}  // namespace\n}\n"),
    ("paths", "README.md", "See /work/main/README.md\n"),
    ("paths", "scripts/x.sh", "cd /home/me/hinoki\n"),
    ("paths", "tests/a_test.cpp", 'open("/root/x");\n'),
]


def self_test():
    """Each rule must stay silent on a sound tree, and speak, alone, when it is broken."""
    failed = 0
    for rule, path, text in [(None, "README.md", SOUND["README.md"]), *BROKEN]:
        with tempfile.TemporaryDirectory() as root:
            for name, content in {**SOUND, path: text}.items():
                if content is not None:
                    os.makedirs(os.path.dirname(os.path.join(root, name)), exist_ok=True)
                    with open(os.path.join(root, name), "w") as file:
                        file.write(content)
            found = {complaint.split(":")[0] for complaint in violations(read_tree(root))}
        if found != ({rule} if rule else set()):
            failed += 1
            print(f"{rule or 'a sound tree'}, {path}: found {sorted(found)}", file=sys.stderr)
    print(f"house rules: {len(BROKEN) + 1} trees tried, {failed} judged wrongly")
    return 1 if failed else 0


def main():
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    here = os.path.dirname(os.path.abspath(__file__))
    files = read_tree(sys.argv[1] if len(sys.argv) > 1 else os.path.join(here, ".."))
    found = violations(files)
    print_sizes(files)
    for complaint in found:
        print(complaint, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
