"""The shop's front: pages made from what catalogue, users and orders answer."""

import os
from html import escape

from service import POD, VERSION, Client, Problem, Service

catalogue = Client(os.environ["CATALOGUE_URL"])
users = Client(os.environ["USERS_URL"])
orders = Client(os.environ["ORDERS_URL"])
TITLE = os.environ.get("SHOP_TITLE", "A shop")

STYLE = """
:root { --ink:#23303d; --paper:#faf7f2; --line:#e3dcd0; --accent:#b5651d; color-scheme: light }
* { box-sizing: border-box } body { margin:0; font:16px/1.5 system-ui,sans-serif; color:var(--ink); background:var(--paper) }
header { display:flex; gap:2rem; align-items:baseline; padding:1.2rem 2rem; border-bottom:1px solid var(--line); background:#fff }
header h1 { margin:0; font:700 1.5rem Georgia,serif } header a { color:inherit; text-decoration:none } header a.here { border-bottom:2px solid var(--accent) }
main { max-width:62rem; margin:2rem auto; padding:0 1.5rem } .grid { display:grid; grid-template-columns:repeat(auto-fill,minmax(17rem,1fr)); gap:1.2rem }
.card { background:#fff; border:1px solid var(--line); border-radius:.6rem; padding:1.2rem } .card svg { width:64px; height:64px } .card h2 { font-size:1.05rem; margin:.6rem 0 0 }
.price { color:#6b7680 } form { display:flex; gap:.5rem; margin-top:.8rem } select,button { font:inherit; padding:.35rem .6rem; border-radius:.4rem; border:1px solid var(--line); background:#fff }
button { background:var(--accent); border-color:var(--accent); color:#fff; cursor:pointer } table { width:100%; border-collapse:collapse; background:#fff; border:1px solid var(--line) }
th,td { text-align:left; padding:.5rem .9rem; border-bottom:1px solid var(--line) } footer { text-align:center; color:#8a949d; font-size:.85rem; padding:2rem } .note { background:#fff3e6; border:1px solid #f0d9bd; padding:.8rem 1rem; border-radius:.5rem }
"""


def page(here, content):
    link = lambda path, text: f'<a href="{path}"{" class=here" if here == path else ""}>{text}</a>'
    return f"""<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(TITLE)}</title>
<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head><body>
<header><h1>{escape(TITLE)}</h1>{link("/", "Goods")}{link("/orders", "Orders")}</header><main>{content}</main>
<footer>answered by {escape(POD)}, version {escape(VERSION)}</footer></body></html>"""


def card(item, people):
    choices = "".join(f'<option value="{escape(p["id"])}">{escape(p["name"])}</option>' for p in people)
    return f"""<section class="card"><svg viewBox="0 0 64 64"><path d="{escape(item["shape"])}" fill="{escape(item["colour"])}"
fill-rule="evenodd" stroke="#fff"/></svg><h2>{escape(item["title"])}</h2><div class="price">{item["price"]:.2f} €</div>
<form method="post" action="/orders"><input type="hidden" name="item" value="{escape(item["id"])}">
<select name="user" aria-label="Buyer">{choices}</select><button>Order</button></form></section>"""


service = Service()


@service.route("GET", "/")
def goods(request):
    trace = request.trace()
    items = catalogue.get("/goods", trace)
    try:
        people = users.get("/users", trace)
    except Problem as problem:  # the goods can be looked at while nobody can buy
        note = f'<p class="note">Ordering is closed for the moment: {escape(problem.message)}</p>'
        return 200, page("/", note + '<div class="grid">' + "".join(card(item, []) for item in items) + "</div>")
    return 200, page("/", '<div class="grid">' + "".join(card(item, people) for item in items) + "</div>")


@service.route("GET", "/orders")
def list_orders(request):
    rows = "".join(
        "<tr>" + "".join(f"<td>{escape(order[key])}</td>" for key in ("time", "number", "item", "user", "city")) + "</tr>"
        for order in orders.get("/orders", request.trace())
    )
    head = "<tr><th>Time</th><th>Number</th><th>Item</th><th>Buyer</th><th>City</th></tr>"
    return 200, page("/orders", f"<table>{head}{rows}</table>")


@service.route("POST", "/orders")
def order(request):
    form = request.form()
    item = catalogue.get(f"/goods/{form.get('item', '')}", request.trace())
    orders.post("/orders", {"user": form.get("user", ""), "item": item["title"]}, request.trace())
    return 303, ""


@service.route("GET", "/api/goods")
def api_goods(request):
    return 200, catalogue.get("/goods", request.trace())


service.run()
