"""The conformance kit, which targets inherit in their tests."""
