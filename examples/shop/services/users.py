"""Who buys: a handful of people and their cities."""

from service import Problem, Service

PEOPLE = {
    str(number): {"id": str(number), "name": name, "city": city}
    for number, (name, city) in enumerate(
        [
            ("Ada", "London"),
            ("Blaise", "Paris"),
            ("Chen", "Taipei"),
            ("Dorothea", "Leipzig"),
            ("Edsger", "Rotterdam"),
            ("Fatima", "Fez"),
            ("Grace", "Arlington"),
            ("Hedy", "Vienna"),
        ],
        start=1,
    )
}

service = Service()


@service.route("GET", "/users")
def everyone(request):
    return 200, list(PEOPLE.values())


@service.route("GET", "/users/<id>")
def one(request):
    person = PEOPLE.get(request.parameters["id"])
    if person is None:
        raise Problem(404, f"there is no user {request.parameters['id']}")
    return 200, person


service.run()
