"""The features of flight_delays."""


def features(rows): ...
