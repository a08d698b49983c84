"""What is for sale."""

import os

from service import Problem, Service, spin

GOODS = {
    name: {"id": name, "title": title, "price": price, "colour": colour, "shape": shape}
    for name, title, price, colour, shape in [
        ("shuttle", "Boat shuttle", 18.50, "#b5651d", "M4 32 Q32 8 60 32 Q32 56 4 32Z"),
        ("bobbin", "Bobbins, ten", 9.90, "#3f7d6e", "M16 8h32v8h-8v32h8v8H16v-8h8V16h-8Z"),
        ("reed", "Steel reed", 42.00, "#5b6c8f", "M8 8h4v48H8ZM18 8h4v48h-4ZM28 8h4v48h-4ZM38 8h4v48h-4ZM48 8h4v48h-4Z"),
        ("yarn", "Linen yarn", 12.25, "#c9a227", "M32 6a26 26 0 1 0 .1 0ZM12 24q20 12 40 0M10 36q22 12 44 0"),
        ("loom", "Table loom", 389.00, "#7d4f9e", "M6 6h8v52H6ZM50 6h8v52h-8ZM14 14h36v6H14ZM14 44h36v6H14Z"),
        ("comb", "Weaving comb", 14.75, "#c4554d", "M8 10h48v12H8ZM10 22h4v30h-4ZM20 22h4v30h-4ZM30 22h4v30h-4ZM40 22h4v30h-4ZM50 22h4v30h-4Z"),
    ]
}
WORK = float(os.environ.get("WORK_MILLISECONDS", "1"))

service = Service()


@service.route("GET", "/goods")
def everything(request):
    spin(WORK)
    return 200, list(GOODS.values())


@service.route("GET", "/goods/<id>")
def one(request):
    item = GOODS.get(request.parameters["id"])
    if item is None:
        raise Problem(404, f"there is no {request.parameters['id']} for sale")
    return 200, item


service.run()
