"""What input is made of: pieces that mean something to a reader, in an order that means nothing, and noise."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from hypothesis import strategies as st

Bytes = st.SearchStrategy[bytes]

TAGS = (
    "a abbr address applet area article b base big blockquote body br button caption center code col colgroup dd "
    "details dialog div dl dt em fieldset font form frame frameset h1 h2 head hr html i iframe image img input keygen "
    "li link listing marquee math mi menu meta nobr noembed noscript object ol optgroup option p param plaintext pre "
    "rb rp rt rtc ruby s script search select small source span strong style sub summary svg g path foreignObject desc "
    "table tbody td template textarea tfoot th thead title tr track tt u ul var wbr xmp x-y annotation-xml mglyph"
).split()

MARKS = (
    (
        b"<!doctype html> <!-- --> <!--> <!---> --!> <! <? </ < > /> & &amp; &#0; &#x110000; &notit; <![CDATA[ ]]> \0 "
        b"\xff \xed\xa0\x80 \xef\xbb\xbf \xff\xfe \" ' = / x 1 \r \n \t <meta%scharset=utf-16> <base%shref=//h:99999/> "
        b"<a%shref="
    )
    .replace(b"%s", b"\x20")
    .split(b" ")
)

ATTRIBUTES = (
    " href=/a  href='http://h/?q=1#f'  href=\"javascript:x\"  class=a  id='b'  a  a=  a=b  type=hidden"
    "  encoding=text/html"
    "  charset=gbk  http-equiv=refresh content='0;url=/x'  rel=nofollow  name=robots content=none"
    '  value="\'"  /  \n  ='
    "  selected  checked  disabled  form=f  action=//[  method=post"
).split("  ")

SELECTORS = (
    "a * div .c #i [href] [href^=http] [a='b' i] ::text ::attr(href) ::attr('x') ::before :not(p) :has(a) :is(a,b) "
    ':nth-child(2n+1) :first-child :empty :root :lexbor-contains("x") :contains(x) > + ~ , || ( ) [ ] \\ \\61 " \' | '
    "*|* "
    "é \0 : :: . # -1 --x @ /**/ :host :nth-child( :nth-last-child(-n) :where() :not() ::text"
).split(" ")

URLS = (
    "http: https: HTTP: ftp: javascript: data: mailto: file: / // \\ /// ? # @ : :80 :443 :0 :99999 :8x user:pw@ [::1] "
    "[::ffff:1.2.3.4] 1.2.3.4 0x7f.1 2130706433 0177.1 example.com EXAMPLE.com. xn-- xn--a xn--nxasmq6b bücher.de "
    "faß.de "
    '☃ ￥ 。 \u00ad \ud800 \0 \t \n %00 %2e %2E%2e %zz %ff % .. . ./ ../ a b/c ;p ?q=a&b ?" #f | < > ^ ` { } é 日本 😀 '
    "a.b.c.d.e -- _x localhost 1e1 0.0.0.0 256.1.1.1 1.2.3.4.5"
).split(" ")

LINES = (
    "User-agent: * |User-Agent: scraper|user agent:x|Disallow: /|Disallow:|Allow: /a$|Disallow: /*.php$|Disallow: /%zz|"
    "Crawl-delay: 1|Crawl-delay: 1e999|Crawl-delay: nan|Request-rate: 1/5|Request-rate: 0/0|"
    "Request-rate: 1/0s 0000-9999|"
    "Visit-time: 0600-0845|Sitemap: http://h/s.xml|Sitemap: //[|Disallow: /" + "*a" * 40 + "$|# c|\ufeff|Host: h|:|\0|"
    "Disallow: /é|Disallow /x|Disalow: /y|Crawl-delay: " + "9" * 5000 + "|Request-rate: 9/" + "9" * 400
).split("|")

HEADERS = (
    'text/html application/json ; charset= utf-8 "utf-8" \'gbk\' utf-7 latin1 x-user-defined bogus , = " \\ boundary=x '
    "120 -1 "
    "99999999999999999999 1e5 ٣ Wed, 21 Oct 2015 07:28:00 GMT +9999 -0000 99 Feb 31 0 a=b ; Path=/ Domain=.example.com "
    "Domain=com Max-Age= Expires= HttpOnly Secure SameSite=None __Host-x=1 __Secure-y=2 \0 \t é \ud800 \x7f nosniff"
).split(" ")

SHELL = (
    'curl', 'curl.exe', ' ', ' ', ' ', ' ', '\\\n', '^\n', "'", '"', "$'", '\\x', '\\u12', '\\ud800', '\\U0011ffff',
    '\\777', '\\c', '-X', '-H', '-d', '--data-raw', '-F', 'a=b', 'a=@f', 'a=b;type=x', 'a=b;type=x\r\ny',
    'a=b;filename="', '--json', '-G', '-I', '-b', 'a=S3cret; c', '-u', 'u:S3cret', 'u v:S3cret', '-x',
    'http://u:S3cret@p:1', '[::1]', '--url-query', '--data-urlencode', '=x', '@', 'http://h/', 'http://h/ ', '//x',
    'http://[', '-U', '-e', '-A', 'é', '\ud800', '\udcff', '\x00', '^', '""', '--url', '--no-', '--', '-', 'Host: x',
    'X;', ';', ':', ': x', 'a: b', 'X-Token: S3cret', '-sS', '&', '|', '`', '$', '--oauth2-bearer', '--max-time',
    '5', '--unheard', '-Z',
)  # fmt: skip

COOKIES = (
    'a=1', 'b=2', '=x', 'x', '__Host-a=1', '__Secure-b=2', '__host-c=3', '; ', ';', '; Path=/', '; Path=/a',
    '; Path=a', '; Domain=example.com', '; Domain=.example.com', '; Domain=com', '; Domain=www.example.com',
    '; Domain=127.0.0.1', '; Domain=', '; Secure', '; HttpOnly', '; SameSite=None', '; Max-Age=0', '; Max-Age=9',
    "; Max-Age=" + "9" * 400, '; Max-Age=-1', '; Expires=Wed, 21 Oct 2099 07:28:00 GMT', '; Expires=Thu, 01 Jan 1970',
    '; Expires=Feb 31 99', '; =', ';;', '\x1e', '\x1e', '\x1e', '\x1e', '\t', ' ', '\x00', '\x7f', '\r\n', 'é',
    '\udcff', ',', '"', '\\', "v" * 4090,
)  # fmt: skip


def soup(pieces: list[bytes], most: int = 60) -> Bytes:
    """Some of the pieces and short noise, one after the other."""
    each = st.sampled_from(pieces) | st.sampled_from(pieces) | st.sampled_from(pieces) | st.binary(max_size=6)
    return st.lists(each, max_size=most).map(b"".join)


def words(text: Sequence[str], between: str = "", most: int = 12) -> Bytes:
    return soup([(word + between).encode("utf-8", "surrogatepass") for word in text], most)


def a_tag(chance: random.Random) -> bytes:
    name = chance.choice(TAGS)
    if chance.random() < 0.3:
        return f"</{name}>".encode()
    return f"<{name}{''.join(chance.choices(ATTRIBUTES, k=chance.choice((0, 0, 0, 1, 3))))}>".encode()


def a_page(chance: random.Random) -> bytes:
    """Runs of tags and marks, now and then one run many times over."""
    page = b""
    for _ in range(chance.choice((1, 4, 20))):
        run = b"".join(
            a_tag(chance) if chance.random() < 0.7 else chance.choice((b"text ", b"x", chance.choice(MARKS)))
            for _ in range(chance.choice((1, 2, 3, 8)))
        )
        page += run * chance.choice((1, 1, 2, 40))
    return page


FORM = (
    'form', 'form action=/x method=post', 'form enctype=multipart/form-data method=post',
    'form method=post enctype=text/plain', "form accept-charset='x gbk'", 'form id=f', 'form id=\'"\\\n\' name=n',
    "form action='javascript:'", 'form method=dialog', '/form', 'input name=a value=b',
    'input type=radio name=r checked', 'input type=checkbox name=c checked', 'select name=s multiple',
    'select size=99999999999999 name=y', 'option selected', 'option disabled value=v', '/select', 'optgroup disabled',
    'textarea name=t', '/textarea', 'button name=b value=c', 'button type=reset', 'fieldset disabled', '/fieldset',
    'legend', '/legend', 'table', 'tr', 'td', '/table', 'input type=number value=1e999 name=n',
    'input type=range min=-1e999 max=1e999 name=q', 'input type=range min=1e308 max=-5 value=x name=q',
    'input name=_charset_ type=hidden', 'input type=image name=i', 'input dirname=d name=z dir=rtl',
    'input form=f name=k', 'input form=\'"\\\n\' name=k', 'template', 'svg', 'input type=file name=f',
    'input type=color name=c', 'base href=//[', 'base href=/z', 'datalist', 'noscript',
    "meta http-equiv=refresh content='0;url=/b'", "meta http-equiv=refresh content='9 url=//h:99999'",
)  # fmt: skip


def a_form(chance: random.Random) -> bytes:
    """A form as nobody writes them; now and then a part of it many times over."""
    page = b""
    for _ in range(chance.choice((1, 2, 4))):
        run = b"".join(
            b"<%s>%s"
            % (chance.choice(FORM).encode(), chance.choice((b"", b"", b"x", b"\xff", b"&#xd800;", b"\n", b"\0")))
            for _ in range(chance.choice((1, 3, 8)))
        )
        page += run * chance.choice((1, 1, 1, 3, 2000))
    return page


def a_flood(chance: random.Random) -> bytes:
    """Some 100 kB to 2 MB of what may cost more than it looks."""
    page = b""
    for _ in range(chance.choice((1, 1, 2, 3))):
        run = b"".join(a_tag(chance) for _ in range(chance.choice((1, 1, 2, 3, 5))))
        size = chance.choice((20_000, 200_000, 1_000_000))
        match chance.randrange(8):
            case 0:
                run = run.replace(b">", b" %d>", 1)
                page += b"".join(run.replace(b"%d", b"a%d" % at) for at in range(size // (len(run) + 5)))
            case 1:
                page += b"<" + chance.choice(TAGS).encode() + b"".join(b" a%d" % at for at in range(size // 7)) + b">"
            case 2:
                page += chance.choice(MARKS) * (size // 8)
            case 3:
                page += b"".join(b"<x%d>" % at for at in range(size // 8))
            case _:
                page += run * (size // len(run))
    return page


def made(make: Callable[[random.Random], bytes]) -> Bytes:
    """By a random number: one draw, however large the page."""
    return st.integers(0, 2**48).map(lambda number: make(random.Random(number)))
