"""One file a scenario; see `tests.prove.scenario` for what each must hold."""
