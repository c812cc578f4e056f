"""Which packages make which bundle, which of their files carry Japanese, and what reads them."""
import re
from dataclasses import dataclass, field

import anthy
import aozora
import dasher
import gettext_mo
import lyx
import markup
import messages_json
import mozilla
import roff
import wrapped


@dataclass
class Source:
    """One binary or source package: the rules are tried in order, and the first whose pattern fits a path reads the file."""
    name: str
    rules: list  # of (pattern over the path, extract)
    licence: str
    source_package: bool = False
    compiled: list = field(default_factory=list)

    def reader_of(self, path):
        if not self.compiled:
            self.compiled = [(re.compile(pattern), extract) for pattern, extract in self.rules]
        return next((extract for pattern, extract in self.compiled if pattern.search(path)), None)


def pages(name, pattern, licence):
    return Source(name, [(pattern, markup.extract)], licence)


def catalogues(name, licence, pattern=r"/ja/LC_MESSAGES/.*\.mo$"):
    return Source(name, [(pattern, gettext_mo.extract)], licence)


def help_pages(name, licence):
    return pages(name, r"^usr/share/help/ja/.*\.(page|xml|docbook)$", licence)


def manual(name, licence):
    return Source(name, [(r"/man/ja/man\w+/.*\.gz$", roff.extract)], licence)


SMOKE = [manual("manpages-ja", "per page, all DFSG-free"), manual("manpages-ja-dev", "per page, all DFSG-free")]

LEAN = SMOKE + [
    pages("libreoffice-help-ja", r"/help/ja/text/.*\.html$", "MPL-2.0"),
    # The split pages repeat what the big ones hold.
    pages("lilypond-doc-html-ja", r"-big-page\.ja\.html$", "GFDL-1.3+"),
    pages("groonga-doc", r"/ja/.*\.html$", "LGPL-2.1"),
    pages("apache2-doc", r"\.html\.ja\.utf8$|/ja/.*\.html$", "Apache-2.0"),
    Source("dasher-data", [(r"training_(canna|hiragana83)_JP\.txt$", dasher.extract)], "GPL-2+"),
    pages("debian-reference-ja", r"\.ja\.html$", "GPL-2+"),
    pages("developers-reference-ja", r"/ja/.*\.html$", "GPL-2+"),
    pages("maint-guide-ja", r"\.ja\.html$", "GPL-2+"),
    pages("aptitude-doc-ja", r"/ja/.*\.html$", "GPL-2+"),
    pages("debian-faq-ja", r"\.ja\.html$", "verbatim copying or GPL-2+"),
    Source("live-manual-txt", [(r"live-manual\.ja\.txt\.gz$", wrapped.extract)], "GPL-3+"),
    pages("scilab-doc-ja", r"_help\.jar!.*\.html$", "GPL-2+"),
    Source("lyx-common", [(r"/doc/ja/.*\.lyx$", lyx.extract)], "GPL-2+"),
    help_pages("gnome-user-docs", "CC-BY-SA-3.0"),
    help_pages("mate-user-guide", "GFDL-1.1+ or GPL-2+"),
    Source("ddskk", [(r"/info/skk\.info(-\d+)?\.gz$", wrapped.extract)], "GPL-2+"),
]

WESNOTH = "did dm dw ei httt l low nr sof sota sotbe thot trow tsg ttb utbs".split()
FULL = LEAN + [
    pages("gimp-help-ja", r"/ja/.*\.html$", "GFDL-1.2+, no invariant sections"),
    catalogues("wesnoth-1.16-data", "GPL-2+"),
    *[catalogues(f"wesnoth-1.16-{campaign}", "GPL-2+") for campaign in WESNOTH],
    catalogues("blender-data", "GPL-2+", r"/ja(_JP)?/LC_MESSAGES/.*\.mo$"),
    Source("firefox-esr-l10n-ja", [(r"\.xpi!.*\.(ftl|properties)$", mozilla.extract)], "MPL-2.0"),
    Source("thunderbird-l10n-ja", [(r"\.xpi!.*\.(ftl|properties)$", mozilla.extract)], "MPL-2.0"),
    catalogues("freeciv-data", "GPL-2+"),
    pages("debian-handbook", r"/ja-JP/.*\.html$", "GPL-2+ or CC-BY-SA-3.0"),
    catalogues("libreoffice-l10n-ja", "MPL-2.0"),
    catalogues("postgresql-15", "PostgreSQL"),
    Source("mediawiki", [(r"/i18n/(.*/)?ja\.json$", messages_json.extract)], "GPL-2+"),
    pages("installation-guide-amd64", r"/ja/.*\.html$", "GPL-2"),
    pages("debian-edu-doc-ja", r"/ja/.*\.html$|\.ja\.html$|-ja/.*\.html$", "GPL-2+"),
    pages("debian-history", r"\.ja\.html$|/ja/.*\.html$", "GPL-2+"),
    pages("debian-policy-ja", r"\.html$", "GPL-2+"),
    *[help_pages(name, "CC-BY-SA-3.0 or GFDL") for name in (
        "gnome-devel-docs", "evince-common", "eog", "gedit-common", "brasero-common", "totem-common",
        "mate-applets-common")],
    *[catalogues(name, "as the package's copyright file says") for name in (
        "inkscape", "krita-l10n", "digikam-data", "vlc-l10n", "gimp-data", "gnucash-common", "darktable", "gcc-12-locales",
        "tuxpaint-data")],
    *[manual(name, "GPL-2+") for name in ("apt", "dpkg-dev", "man-db", "nmap", "po4a")],
    Source("sentencepiece", [(r"wagahaiwa_nekodearu\.txt$", aozora.extract)], "text in the public domain", True),
    Source("lucene8", [(r"bocchan\.utf-8$", aozora.extract)], "text in the public domain", True),
    Source("anthy", [(r"corpus/corpus\.[135]\.txt$", anthy.extract)], "LGPL-3+ or GPL", True),
]

DESCRIPTIONS = "Translation-ja"  # apt's own index, no package: lean and full carry it
BUNDLES = {"smoke": SMOKE, "lean": LEAN, "full": FULL}
