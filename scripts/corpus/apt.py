"""apt with a private state: finds and downloads packages without root and without touching the machine's own lists."""
import glob
import hashlib
import os
import re
import subprocess
import time

DAY = 24 * 3600
FALLBACK = """Types: deb
URIs: http://deb.debian.org/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://deb.debian.org/debian-security
Suites: bookworm-security
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
"""


class AptError(RuntimeError):
    pass


def sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def debian_sources(folder="/etc/apt"):
    """(deb822 stanzas, one-line entries) of the machine's own sources that are Debian's, other vendors' left out."""
    stanzas, lines = [], []
    for path in sorted(glob.glob(f"{folder}/sources.list.d/*.sources")):
        with open(path, encoding="utf-8", errors="replace") as file:
            text = "\n".join(line for line in file.read().split("\n") if not line.startswith("#"))
        stanzas += [part.strip() for part in re.split(r"\n\s*\n", text) if re.search(r"(?m)^URIs:.*debian", part)]
    for path in [f"{folder}/sources.list"] + sorted(glob.glob(f"{folder}/sources.list.d/*.list")):
        if os.path.exists(path):
            with open(path, encoding="utf-8", errors="replace") as file:
                lines += [line.strip() for line in file if re.match(r"deb\s.*/debian", line)]
    return stanzas, lines


class Apt:
    def __init__(self, folder, downloads, contrib=False):
        """`contrib` looks into that section of Debian's too."""
        self.folder, self.downloads = os.path.abspath(folder), os.path.abspath(downloads)
        for part in ("parts", "lists/partial", "cache/archives/partial"):
            os.makedirs(f"{self.folder}/{part}", exist_ok=True)
        os.makedirs(self.downloads, exist_ok=True)
        self.environment = dict(os.environ, APT_CONFIG=f"{self.folder}/apt.conf", LC_ALL="C.UTF-8")
        self.has_sources, self.contrib = False, contrib

    def run(self, *command, cwd=None):
        done = subprocess.run(command, env=self.environment, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        return done.returncode, done.stdout, done.stderr.decode("utf-8", "replace")

    def configure(self, sources_too):
        stanzas, lines = debian_sources()
        if not stanzas and not lines:
            stanzas = [FALLBACK]
        if sources_too:
            stanzas = [re.sub(r"(?m)^Types:.*$", "Types: deb deb-src", stanza) for stanza in stanzas]
            lines += [re.sub(r"^deb\s", "deb-src ", line) for line in lines]
        if self.contrib:
            stanzas = [re.sub(r"(?m)^(Components:.*\bmain\b)(?!.*\bcontrib\b)", r"\1 contrib", stanza) for stanza in stanzas]
            lines = [re.sub(r"\bmain\b(?!.*\bcontrib\b)", "main contrib", line) for line in lines]
        for name, text in (("debian.sources", "\n\n".join(stanzas)), ("debian.list", "\n".join(lines))):
            with open(f"{self.folder}/parts/{name}", "w", encoding="utf-8") as file:
                file.write(text + "\n")
        with open(f"{self.folder}/apt.conf", "w", encoding="utf-8") as file:
            file.write(f'Dir::Etc::sourcelist "/dev/null";\nDir::Etc::sourceparts "{self.folder}/parts";\n'
                       f'Dir::State::lists "{self.folder}/lists";\nDir::Cache "{self.folder}/cache";\n'
                       'APT::Sandbox::User "root";\n')

    def update(self, sources_too, refresh):
        """Fetches the indexes, at most once a day. Source indexes that cannot be had are no failure."""
        stamp = f"{self.folder}/updated{'-src' if sources_too else ''}"
        self.configure(sources_too)
        self.has_sources = sources_too
        if not refresh and os.path.exists(stamp) and time.time() - os.path.getmtime(stamp) < DAY:
            return
        code, _, error = self.run("apt-get", "-q", "-o", "Acquire::Languages=ja", "update")
        if code != 0 and sources_too:
            self.update(False, refresh)
            return
        if code != 0 or not glob.glob(f"{self.folder}/lists/*_Packages*"):
            raise AptError(f"apt-get update failed: {error.strip() or 'no package index came'}; is the network up?")
        open(stamp, "w").close()

    def translation(self, language):
        """The text of a Translation index, or None."""
        helper = next((path for path in ("/usr/lib/apt/apt-helper", "/usr/libexec/apt/apt-helper") if os.path.exists(path)), None)
        lists = sorted(glob.glob(f"{self.folder}/lists/*_main_i18n_Translation-{language}*"))
        if not helper or not lists:
            return None
        code, text, _ = self.run(helper, "cat-file", *lists)
        return text if code == 0 and text else None

    def available(self, names):
        """{name: {version, file, sha256}} of the binary packages that exist."""
        found = {}
        _, text, _ = self.run("apt-cache", "show", "--no-all-versions", *names)
        for stanza in text.decode("utf-8", "replace").split("\n\n"):
            fields = dict(re.findall(r"(?m)^(Package|Version|Filename|SHA256): (.*)$", stanza))
            if len(fields) == 4:
                file = f"{fields['Package']}_{fields['Version'].replace(':', '%3a')}_"
                found.setdefault(fields["Package"], {"version": fields["Version"], "file": file, "sha256": fields["SHA256"]})
        return found

    def download(self, wanted):
        """Brings the packages into the download folder; {name: path} of those that are there with the right hash."""
        def here(name):
            paths = glob.glob(f"{glob.escape(self.downloads + '/' + wanted[name]['file'])}*.deb")
            return next((path for path in paths if sha256(path) == wanted[name]["sha256"]), None)

        missing = [name for name in wanted if not here(name)]
        if missing:
            code, _, _ = self.run("apt-get", "-q", "download", *[f"{name}={wanted[name]['version']}" for name in missing],
                                  cwd=self.downloads)
            if code != 0:  # one at a time, so that a broken one costs only itself
                for name in missing:
                    self.run("apt-get", "-q", "download", f"{name}={wanted[name]['version']}", cwd=self.downloads)
        return {name: path for name in wanted if (path := here(name))}

    def download_source(self, name):
        """(version, paths of the upstream tarballs) of a source package, or None."""
        if not self.has_sources:
            return None
        code, text, _ = self.run("apt-get", "-q", "source", "--download-only", "--print-uris", name)
        files = re.findall(r"'[^']*' (\S+) \d+ \S+", text.decode("utf-8", "replace"))
        tarballs = [file for file in files if re.search(r"\.(orig[^/]*|tar)\.(tar\.)?(gz|xz|bz2)$|[^/]\.tar\.(gz|xz|bz2)$", file)
                    and ".debian.tar" not in file]
        if code != 0 or not tarballs:
            return None
        if not all(os.path.exists(f"{self.downloads}/{file}") for file in tarballs):
            code, _, _ = self.run("apt-get", "-q", "source", "--download-only", name, cwd=self.downloads)
        paths = [f"{self.downloads}/{file}" for file in tarballs]
        description = next((file for file in files if file.endswith(".dsc")), tarballs[0])
        version = description.rsplit("_", 1)[-1].removesuffix(".dsc")
        return (version, paths) if all(os.path.exists(path) for path in paths) else None
