"""Behind a login: the form goes out with its hidden token, the cookie that comes back opens the account.

scraper crawl login -a start=http://127.0.0.1:8000/
scraper crawl login -a start=http://127.0.0.1:8000/ -a user=reader -a password=bookworm
"""

from dataclasses import dataclass
from urllib.parse import urljoin

from scraper import FormRequest, Request, Spider


@dataclass
class Order:
    key = "number"

    number: int
    placed: str
    total: float
    titles: list[str]


class Login(Spider):
    expect = ["order >= 1"]  # so that a login that fails is exit code 3, not an empty success

    # A real password is better kept in the environment than typed here: os.environ["SHOP_PASSWORD"].
    def __init__(self, start: str, user: str = "reader", password: str = "bookworm") -> None:
        self.login = urljoin(start, "/login")
        self.account = urljoin(start, "/account/orders")
        self.credentials = {"username": user, "password": password}

    async def start(self):
        yield Request(self.login)  # only one request: nothing else is asked for until this has worked

    def parse(self, response):
        yield FormRequest.from_response(response, self.logged_in, formid="login", formdata=self.credentials)

    def logged_in(self, response):
        """Most sites answer 200 to a wrong password, so look for what only a reader sees."""
        if not response.css("a.logout"):
            raise ValueError(f"the login failed: {response.css('.error::text').get('no reason was given')}")
        yield Request(self.account, self.parse_orders)

    def parse_orders(self, response):
        yield from response.follow_all("tr.order a", self.parse_order)
        yield from response.follow_all("li.next a", self.parse_orders)

    def parse_order(self, response):
        yield Order(
            number=int(response.css("h1 .number::text").get()),
            placed=response.css("time").attrib["datetime"],
            total=float(response.css(".total::text").re_first(r"[\d.]+")),
            titles=response.css("tr.line a::text").getall(),
        )
