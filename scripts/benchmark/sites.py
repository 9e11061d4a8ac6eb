"""The static sites the contestants crawl.

*books* is the bundled bookshop, about 1,100 pages on one host. *wide* is six product pages of about 100 kB that nginx
serves on 200 loopback addresses. *start* is a single page without links, to time start-to-exit.
Every page answers the same six selectors: title, price, stock, rating, UPC, description.

usage: sites.py FOLDER
"""

import random
import sys
from pathlib import Path

from scraper.testing.bookshop import write_static

WIDE_PAGES = [f"page-{n}.html" for n in range(1, 7)]
WORDS = (
    "amber basin candle drift ember fable garden harbour island juniper kettle lantern meadow needle orchard paper "
    "quartz river saddle timber umber velvet willow yarrow zephyr with under over beside and then the a of quiet old"
).split()


def main(folder: Path) -> None:
    """Write ``books``, ``wide`` and ``start`` below ``folder``."""
    for name in ("books", "wide", "start"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    write_static(folder / "books")
    for number, name in enumerate(WIDE_PAGES, start=1):
        (folder / "wide" / name).write_text(wide_page(number), encoding="utf-8")
    (folder / "start" / "index.html").write_text(PAGE.format(**fields(0), nav="", body=""), encoding="utf-8")
    for name in ("wide", "start"):
        (folder / name / "robots.txt").write_text("User-agent: *\nDisallow: /private/\n", encoding="utf-8")


def wide_page(number: int) -> str:
    """One product page: about 100 kB, about 1,500 elements, about 80 links of which most repeat the navigation."""
    dice = random.Random(number)
    menu = "".join(
        f'<li class="menu__item"><a class="menu__link" data-pos="{n}" href="./{WIDE_PAGES[n % 6]}">'
        f"{sentence(dice, 2)}</a></li>\n"
        for n in range(30)
    )
    related = "".join(
        f'<article class="card"><h3><a title="{sentence(dice, 4)}" href="{name}">{sentence(dice, 4)}</a></h3>'
        f'<img class="thumb" loading="lazy" src="/img/{name}.jpg" alt="{sentence(dice, 3)}"></article>\n'
        for name in WIDE_PAGES
    )
    reviews = "".join(
        f'<section class="review" id="review-{n}"><header><span class="by">{sentence(dice, 2)}</span> '
        f'<time datetime="2024-0{n % 9 + 1}-12">{n} days ago</time> <i class="icon star-{n % 5}"></i></header>'
        f"<p>{sentence(dice, 75)}</p><p>{sentence(dice, 40)}</p>"
        f'<ul class="votes"><li>{dice.randrange(90)} found this <b>useful</b></li>'
        "<li><span>report</span></li></ul></section>\n"
        for n in range(76)
    )
    specs = "".join(
        f'<tr class="spec"><th scope="row">{sentence(dice, 2)}</th><td>{sentence(dice, 6)}</td></tr>\n'
        for n in range(120)
    )
    footer = "".join(f'<a href="{WIDE_PAGES[n % 6]}#review-{n}">{sentence(dice, 2)}</a>\n' for n in range(14))
    state = ",".join(f'{{"sku":{dice.randrange(10**9)},"name":"{sentence(dice, 3)}"}}' for _ in range(60))
    body = (
        f'<div class="related">{related}</div>\n<table class="specs"><tbody>{specs}</tbody></table>\n{reviews}'
        f'<nav class="menu menu--foot"><ul>{menu}</ul></nav>\n<footer>{footer}</footer>\n'
        f"<script>window.__STATE__ = [{state}];</script>\n"
    )
    return PAGE.format(**fields(number), nav=f'<nav class="menu"><ul>{menu}</ul></nav>', body=body)


def fields(number: int) -> dict[str, str]:
    """The six fields of page ``number``."""
    dice = random.Random(1000 + number)
    return {
        "title": f"The {sentence(dice, 3).title()}",
        "price": f"£{dice.randrange(500, 6000) / 100:.2f}",
        "stock": f"In stock ({dice.randrange(1, 30)} available)",
        "rating": dice.choice(["One", "Two", "Three", "Four", "Five"]),
        "upc": f"{dice.getrandbits(64):016x}",
        "description": sentence(dice, 120).capitalize() + ".",
    }


def sentence(dice: random.Random, words: int) -> str:
    return " ".join(dice.choices(WORDS, k=words))


PAGE = """<!DOCTYPE html>
<html lang="en-us">
<head><meta charset="utf-8"><title>{title} | Wide</title>
<meta name="viewport" content="width=device-width"><link rel="stylesheet" href="/static/main.css"></head>
<body id="default" class="default">
<header class="header">{nav}</header>
<main class="page"><article class="product_page"><div class="row">
<div class="product_main"><h1>{title}</h1>
<p class="price_color">{price}</p>
<p class="instock availability"><i class="icon-ok"></i> {stock} </p>
<p class="star-rating {rating}"><i class="icon-star"></i><i class="icon-star"></i><i class="icon-star"></i></p>
</div></div>
<div id="product_description" class="sub-header"><h2>Product Description</h2></div>
<p>{description}</p>
<table class="table table-striped"><tr><th>UPC</th><td>{upc}</td></tr><tr><th>Tax</th><td>£0.00</td></tr></table>
</article>
{body}</main></body></html>
"""

if __name__ == "__main__":
    main(Path(sys.argv[1]))
