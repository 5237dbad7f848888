"""Requests that no library would send: corpus A (framing and headers), B (keys) and paths.

`{key}` stands for a good key, `{good}` for a good body and `{length}` for its length. Each comes with the
statuses that may answer it.
"""

from typing import NamedTuple

HEAD = "POST /v0/chat/completions HTTP/1.1\r\nhost: farebox\r\nauthorization: Bearer {key}\r\n"
JSON = "content-type: application/json\r\n"
START = HEAD + JSON
LENGTH = "content-length: {length}\r\n"
END = "connection: close\r\n\r\n"
GOOD = START + LENGTH + END + "{good}"
CHUNKED = START + "transfer-encoding: chunked\r\n" + END


class Raw(NamedTuple):
    text: str
    statuses: frozenset[int]


def refused(text: str, *statuses: int) -> Raw:
    return Raw(text, frozenset(statuses or (400,)))


def served(text: str) -> Raw:
    return Raw(text, frozenset({200}))


FRAMING: dict[str, Raw] = {
    "a good one": served(GOOD),
    "length and chunked": refused(START + LENGTH + "transfer-encoding: chunked\r\n" + END + "0\r\n\r\n"),
    "chunked and length": refused(START + "transfer-encoding: chunked\r\n" + LENGTH + END + "0\r\n\r\n"),
    "two lengths": refused(START + LENGTH + "content-length: 3\r\n" + END + "{good}"),
    "two equal lengths": refused(START + LENGTH + LENGTH + END + "{good}"),
    "length with a plus": refused(START + "content-length: +4\r\n" + END + "null"),
    "negative length": refused(START + "content-length: -1\r\n" + END),
    "length in hex": refused(START + "content-length: 0x4\r\n" + END + "null"),
    "length list": refused(START + "content-length: 4, 4\r\n" + END + "null"),
    "huge length": refused(START + "content-length: 99999999999999999999999\r\n" + END),
    "length of 100 MB": refused(START + "content-length: 104857600\r\n" + END, 413),
    "blank before the colon": refused(START + "transfer-encoding : chunked\r\n" + END + "0\r\n\r\n"),
    "unknown encoding": refused(START + "transfer-encoding: xchunked\r\n" + END + "0\r\n\r\n"),
    "chunked and identity": refused(START + "transfer-encoding: chunked, identity\r\n" + END + "0\r\n\r\n"),
    "chunk size of 17 digits": refused(CHUNKED + "11111111111111111\r\nx\r\n0\r\n\r\n"),
    "chunk size with a sign": refused(CHUNKED + "+4\r\nnull\r\n0\r\n\r\n"),
    "chunk size in words": refused(CHUNKED + "four\r\nnull\r\n0\r\n\r\n"),
    "bare line feeds": refused(
        "POST /v0/chat/completions HTTP/1.1\nhost: farebox\nauthorization: Bearer {key}\n\n{good}"
    ),
    "folded header": refused(HEAD + "x-folded: a\r\n b\r\n" + JSON + LENGTH + END + "{good}"),
    "header without a colon": refused(HEAD + "nonsense\r\n" + END),
    "header without a name": refused(HEAD + ": value\r\n" + END),
    "blank in a name": refused(HEAD + "x y: value\r\n" + END),
    "nul in a value": refused(HEAD + "x-nul: a\x00b\r\n" + JSON + LENGTH + END + "{good}"),
    "carriage return in a value": refused(HEAD + "x-cr: a\rb\r\n" + JSON + LENGTH + END + "{good}"),
    "nul in a key": refused(
        "POST /v0/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer a\x00\r\n" + END
    ),
    "two hosts": refused(HEAD + "host: evil\r\n" + JSON + LENGTH + END + "{good}"),
    "two authorizations": refused(HEAD + "authorization: Bearer x\r\n" + JSON + LENGTH + END + "{good}"),
    "two content types": refused(START + "content-type: text/plain\r\n" + LENGTH + END + "{good}"),
    "foreign absolute form": served(GOOD.replace("POST /", "POST http://evil.example/")),
    "header of 70 KB": refused(HEAD + f"x-long: {'a' * 70_000}\r\n" + JSON + LENGTH + END + "{good}", 431),
    "header that never ends": refused(HEAD + "x-long: " + "a" * 400_000, 431),
    "10,000 headers": refused(HEAD + "x-many: aaaaaaaaaa\r\n" * 10_000 + END, 431),
    "path of 70 KB": refused(f"POST /v0/{'a' * 70_000} HTTP/1.1\r\nhost: x\r\n" + END, 431),
    "query of 70 KB": refused(GOOD.replace("completions HTTP", f"completions?{'a' * 70_000} HTTP"), 431),
    "gzip that is announced": refused(
        START + "content-encoding: gzip\r\ncontent-length: 4\r\n" + END + "\x1f\x8b\x08\x00", 400, 415
    ),
    "encoding that nobody knows": refused(
        START + "content-encoding: zip\r\ncontent-length: 4\r\n" + END + "PK..", 400, 415
    ),
    "spoofed forwarding": served(
        GOOD.replace(
            JSON,
            JSON + "x-forwarded-for: 10.0.0.1\r\nx-forwarded-host: evil\r\nx-forwarded-proto: gopher\r\n",
        )
    ),
    "method override": served(GOOD.replace(JSON, JSON + "x-http-method-override: DELETE\r\n")),
    "an upgrade to nothing": refused(
        GOOD.replace("connection: close", "connection: upgrade, close\r\nupgrade: h2c")
    ),
    "no version": refused("GET /v0/chat/completions\r\n\r\n", 400, 405),
    "version 9": refused(GOOD.replace("HTTP/1.1", "HTTP/9.9")),
    "the preface of HTTP/2": refused("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "a TLS greeting": refused("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + "a" * 64),
    "binary noise": refused("\x00\x01\x02\x03\xff\xfe\r\n\r\n"),
    "TRACE": refused("TRACE /v0/chat/completions HTTP/1.1\r\nhost: x\r\n" + END, 405),
    "CONNECT": refused("CONNECT evil.example:443 HTTP/1.1\r\nhost: x\r\n" + END, 400, 404, 405),
    "a method that is none": refused("EVIL /v0/chat/completions HTTP/1.1\r\nhost: x\r\n" + END),
    "lower-case method": refused(GOOD.replace("POST ", "post ")),
    "PUT": refused(GOOD.replace("POST ", "PUT "), 405),
    "DELETE": refused(GOOD.replace("POST ", "DELETE "), 405),
    "GET with a body": refused(GOOD.replace("POST ", "GET "), 405),
    "HEAD": refused("HEAD /v0/chat/completions HTTP/1.1\r\nhost: x\r\n" + END, 405),
    "OPTIONS *": refused("OPTIONS * HTTP/1.1\r\nhost: x\r\n" + END, 400, 404, 405),
    "form": refused(GOOD.replace("application/json", "application/x-www-form-urlencoded"), 415),
    "multipart": refused(GOOD.replace("application/json", "multipart/form-data; boundary=x"), 415),
    "XML": refused(GOOD.replace("application/json", "text/xml"), 415),
    "content type of 1 KB": refused(GOOD.replace("application/json", "a" * 1_000), 415),
    "charset utf-7": served(GOOD.replace("application/json", "application/json; charset=utf-7")),
}

KEY_HEAD = "POST /v0/chat/completions HTTP/1.1\r\nhost: farebox\r\n" + JSON + LENGTH
KEYS: dict[str, str] = {
    "none": "",
    "empty": "authorization: \r\n",
    "scheme alone": "authorization: Bearer\r\n",
    "scheme and blank": "authorization: Bearer  \r\n",
    "Basic": "authorization: Basic YWxpY2U6c2VjcmV0\r\n",
    "two words": "authorization: Bearer {key} {key}\r\n",
    "in quotes": 'authorization: Bearer "{key}"\r\n',
    "half": "authorization: Bearer fbx_\r\n",
    "SQL": "authorization: Bearer ' OR 1=1--\r\n",
    "SQL with a union": "authorization: Bearer fbx_' UNION SELECT key FROM accounts_apikey--\r\n",
    "a pattern": "authorization: Bearer fbx_%\r\n",
    "a template": "authorization: Bearer {{{{7*7}}}}\r\n",
    "a lookup": "authorization: Bearer ${{jndi:ldap://evil.example/x}}\r\n",
    "a path": "authorization: Bearer ../../etc/passwd\r\n",
    "look-alike letters": "authorization: Bearer fb\u0445_0123456789\r\n",
    "an emoji": "authorization: Bearer \U0001f511\r\n",
    "Latin-1": "authorization: Bearer fbx_\xe9\xe8\r\n",
    "of 60 KB": f"authorization: Bearer {'k' * 60_000}\r\n",
    "in a cookie": "cookie: session={key}; authorization=Bearer {key}\r\n",
    "x-bf-vk empty": "x-bf-vk: \r\nauthorization: Bearer {key}x\r\n",
    "a wrong one that goes first": "x-bf-vk: sk-bf-1\r\nauthorization: Bearer {key}\r\n",
    "x-api-key of nobody": "x-api-key: sk-ant-0123456789\r\n",
}

PATHS: dict[str, str] = {
    "dots": "/v0/../v0/chat/completions",
    "encoded dots": "/v0/%2e%2e/v0/chat/completions",
    "two slashes": "//v0/chat/completions",
    "slashes amid": "/v0//chat//completions",
    "encoded slash": "/v0%2fchat%2fcompletions",
    "nul": "/v0/chat/completions%00",
    "nul and an ending": "/v0/chat/completions%00.json",
    "line ends": "/v0/chat/completions%0d%0ax-evil:1",
    "capitals": "/V0/Chat/Completions",
    "a parameter": "/v0/chat/completions;jsessionid=1",
    "backslashes": "/v0\\chat\\completions",
    "broken escape": "/v0/chat/completions%zz",
    "broken UTF-8": "/v0/chat/%c3%28",
    "overlong UTF-8": "/v0/%c0%ae%c0%ae/chat/completions",
    "another version": "/v2/chat/completions",
    "completions of old": "/v1/completions",
    "a file": "/v1/../../../../etc/passwd",
    "an encoded file": "/v1/models/..%2f..%2f..%2fetc%2fpasswd",
    "a key for a model": "/v1/models/' OR 1=1--".replace(" ", "%20"),
    "a model of 10 KB": "/v1/models/" + "m" * 10_000,
    "a template": "/v1/models/%7B%7B7*7%7D%7D",
    "a script": "/v1/models/%3Cscript%3Ealert(1)%3C/script%3E",
    "metrics of another": "/metrics/../v0/credits",
}

SELECTOR_CHARACTERS = 1024


def filled(piece: str, start: str = "") -> str:
    """A selector of exactly as many characters as may be sent."""
    return (start + piece * SELECTOR_CHARACTERS)[:SELECTOR_CHARACTERS]


SELECTORS: dict[str, str] = {
    "letters": filled("m"),
    "at signs": filled("@"),
    "slashes": filled("/"),
    "colons": filled(":"),
    "bars": filled("|"),
    "carets": filled("^"),
    "exclamation marks": filled("!"),
    "question marks": filled("?"),
    "percent signs": filled("%"),
    "ampersands": filled("&", "echo?"),
    "open brackets": filled("["),
    "closed brackets": filled("]"),
    "empty brackets": filled("[]"),
    "arrows": filled("->"),
    "arrows between": filled("a->"),
    "failovers": filled("a@fake|"),
    "weights": filled("a^"),
    "races": filled("a!"),
    "all operators": filled("a|b^c!d->"),
    "weighted branches": filled("[weight=1]a^"),
    "annotations": filled("[weight=1]"),
    "one annotation": filled("weight=1,", "["),
    "zeros": filled("0", "[weight=") + "",
    "nines": filled("9", "[max_context="),
    "negative": filled("-", "[handicap="),
    "context of spaces": filled(" ", "[max_context=1]"),
    "parameters": filled("a=b&", "fake/echo?"),
    "encoded operators": filled("%7C", "fake/"),
    "half an escape": filled("%7", "fake/"),
    "criteria": filled("cost<1|", "echo@"),
    "thresholds": filled("<", "echo@cost"),
    "digits of a threshold": filled("9", "echo@cost<"),
    "objectives": filled("q:1|", "router@"),
    "directions": filled("lowest-", "echo@"),
    "skips": filled("skip_providers:a,", "router@"),
    "custom": filled("@custom", "a"),
    "instances": filled("fake.1:"),
    "instance of digits": filled("9", "fake."),
    "aliases of auto": filled("auto/"),
    "router of routers": filled("router@"),
    "hybrid": filled("hybrid:[a,b]"),
    "emoji": filled("\U0001f680"),
    "combining marks": filled("\u0301", "e"),
    "joined": filled("\u200d"),
    "quotes": filled("'"),
    "stars": filled("*"),
    "regular expression": filled("(a+)+$"),
    "braces": filled("{}"),
    "templates": filled("{{7*7}}"),
    "paths": filled("../"),
}
# Absurd, and yet they mean something: unknown parameters are passed over, and a list may be long.
READABLE_SELECTORS = {"ampersands", "parameters", "skips"}
# What no text may hold, and what is too long.
UNREADABLE_SELECTORS: dict[str, str] = {
    "1,025 characters": "m" * (SELECTOR_CHARACTERS + 1),
    "10 KB": "m" * 10_240,
    "a megabyte": "a|" * 500_000,
    "direction override": "fake/\u202eohce",
    "line feed": "fake/echo\nx",
    "escape": "\x1b[2Jfake/echo",
    "blank": "  ",
}
