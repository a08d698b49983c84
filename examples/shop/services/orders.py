"""Who bought what. Each order is checked against the users service; the last hundred are kept in memory."""

import collections
import itertools
import os
import threading
import time

from service import POD, Client, Problem, Service

users = Client(os.environ["USERS_URL"])
kept = collections.deque(maxlen=100)
numbers = itertools.count(1)
lock = threading.Lock()

service = Service()


@service.route("GET", "/orders")
def recent(request):
    with lock:
        return 200, list(kept)[::-1][:12]


@service.route("POST", "/orders")
def order(request):
    wanted = request.json()
    if not isinstance(wanted, dict) or not {"user", "item"} <= wanted.keys():
        raise Problem(400, 'an order needs a "user" and an "item"')
    person = users.get(f"/users/{wanted['user']}", request.trace())
    with lock:
        made = {
            "number": f"{POD[-5:]}-{next(numbers)}",
            "item": str(wanted["item"]),
            "user": person["name"],
            "city": person["city"],
            "time": time.strftime("%H:%M:%S"),
        }
        kept.append(made)
    return 201, made


service.run()
