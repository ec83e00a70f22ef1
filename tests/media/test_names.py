"""200 file names that want more than to be a name."""

import re
import unicodedata

import pytest

from chatcore.media.names import MAX_NAME_BYTES, disposition, safe_name

PATHS = [
    "../../etc/passwd",
    "..\\..\\boot.ini",
    "/etc/shadow",
    "C:\\Windows\\system32\\cmd.exe",
    "a/b/c.txt",
    "....//x",
    "..",
    ".",
    "...",
    "/",
    "\\",
    "//",
    "\\\\server\\share\\x",
    "file:///etc/passwd",
    "~/.ssh/id_rsa",
    "%2e%2e%2fx",
    "..%c0%af..",
    "a/../b",
    "x/",
    "./x",
    "C:x",
    "a:b:c",
    "x::$DATA",
    "x\u2215y",
    "x\u29f8y",
]
DEVICES = [
    f"{name}{ending}"
    for name in ("con", "PRN", "aux", "NUL", "com1", "COM9", "lpt1", "LPT9", "conin$", "com\u00b9")
    for ending in ("", ".txt", ".tar.gz")
]
HEADERS = [
    "a\r\nSet-Cookie: x=1",
    "a\nb",
    "a\rb",
    'a"; filename="b.exe',
    "a;b",
    "a'b",
    'a\\"b',
    "a%0d%0ab",
    "=?utf-8?B?YQ==?=",
    "a\x0bb",
    "a\x0cb",
    "a\x85b",
    "a\u2028b",
    "a\u2029b",
    'x"\r\n\r\n<html>',
    "a, b",
    "UTF-8''x",
    "filename*=x",
]
HIDDEN = [
    f"photo{mark}gpj.exe"
    for mark in "\u202e\u202d\u202a\u202b\u202c"
    "\u2066\u2067\u2068\u2069"
    "\u200e\u200f\u200b\u200c\u200d\u2060\ufeff\u00ad\u061c\u180e\u034f\U000e0041\ue000"
]
CONTROLS = [f"a{chr(code)}b.txt" for code in (*range(32), 127, 128, 159)]
SCRIPTS = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>.png",
    "javascript:alert(1)",
    '"><svg onload=alert(1)>',
    "{{7*7}}",
    "${jndi:ldap://x}",
    "`id`",
    "$(id)",
    "; rm -rf /",
    "| cat",
    "&& x",
    "* ?",
    "-rf",
    "--help",
    "'; DROP TABLE media;--",
    "%00.png",
    "a.png\x00.exe",
    "%n%s%x",
    "=cmd|' /C calc'!A0",
    "@SUM(1)",
    "+1",
    "\ud800.txt",
    "\udfff",
    "a\ud83d.txt",
]
ENDINGS = [
    "x.exe",
    "x.exe.",
    "x.exe ",
    "x.exe...",
    " x",
    ".htaccess",
    ".env",
    ".",
    "x.",
    "x. . .",
    "photo.jpg.exe",
    "photo.jpg .exe",
    "x.PNG",
    "x.php.png",
    "x.svg",
    "x.html",
    "x.shtml",
    "desktop.ini",
    "Thumbs.db",
    "autorun.inf",
    "web.config",
    "x.lnk",
    "x.scf",
    "x.url",
    "noending",
    "x.tar.gz",
]
LONG = [
    "a" * 300,
    "a" * 300 + ".png",
    "\u00e4" * 200,
    "\U0001f600" * 100 + ".gif",
    "a." + "b" * 300,
    "." * 300,
    " " * 300,
    "a" * 251 + ".txt",
    "\u0301" * 300,
    "a" + "\u0301" * 300,
    "\u4e2d" * 90 + ".docx",
    "x" * 100_000,
]
EMPTY = ["", " ", "\t", "\n", "\x00", "\u3000", "\u00a0", "\u200b", "\u2800"]
UNICODE = [
    "\u00e9t\u00e9.jpg",
    "e\u0301te\u0301.jpg",
    "\u7167\u7247.png",
    "\u05e9\u05dc\u05d5\u05dd.txt",
    "\ufb01le.txt",
    "\uff0e\uff0e\uff0fx",
    "\uff1cx\uff1e",
    "\U0001f468\u200d\U0001f469.png",
]
HOSTILE = list(
    dict.fromkeys([*PATHS, *DEVICES, *HEADERS, *HIDDEN, *CONTROLS, *SCRIPTS, *ENDINGS, *LONG, *EMPTY, *UNICODE])
)
RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|\Z)", re.IGNORECASE)
INVISIBLE = ("Cc", "Cf", "Co", "Cs", "Zl", "Zp")


def test_there_are_200_of_them() -> None:
    assert len(HOSTILE) >= 200


@pytest.mark.parametrize("content_type", ["application/octet-stream", "image/png"])
def test_each_becomes_a_name_and_nothing_else(content_type: str) -> None:
    for given in HOSTILE:
        name = safe_name(given, content_type)
        assert 1 <= len(name.encode()) <= MAX_NAME_BYTES, given[:40]
        assert not set(name) & set('<>:"/\\|?*\r\n\0'), given[:40]
        assert not [each for each in name if unicodedata.category(each) in INVISIBLE], given[:40]
        assert name == name.strip(" ."), given[:40]
        assert not RESERVED.match(name), given[:40]
        assert unicodedata.is_normalized("NFC", name), given[:40]
        if content_type == "image/png":
            assert name.lower().endswith((".png", ".apng")), given[:40]


def test_each_stays_itself_when_made_safe_again() -> None:
    for given in HOSTILE:
        assert safe_name(safe_name(given)) == safe_name(given), given[:40]


def test_the_header_is_one_line_of_ascii_whatever_the_name() -> None:
    for given in HOSTILE:
        header = disposition(safe_name(given), inline=False)
        assert re.fullmatch(
            r"attachment; filename=\"[A-Za-z0-9 ._()-]*\"; filename\*=UTF-8''[A-Za-z0-9._~%-]+", header
        ), given[:40]


@pytest.mark.parametrize(
    ("given", "content_type", "name"),
    [
        ("Été à Paris.pdf", "application/octet-stream", "Été à Paris.pdf"),
        ("photo.exe", "image/png", "photo.exe.png"),
        ("photo.JPEG", "image/jpeg", "photo.JPEG"),
        ("../../etc/passwd", "", "passwd"),
        ("a\u202egpj.exe", "", "agpj.exe"),
        (None, "image/gif", "file.gif"),
        ("", "", "file"),
        ("nul.txt", "", "_nul.txt"),
        ("x" * 300 + ".docx", "", "x" * 175 + ".docx"),
    ],
)
def test_good_names_stay_and_bad_ones_keep_what_is_good(given: str | None, content_type: str, name: str) -> None:
    assert safe_name(given, content_type) == name
