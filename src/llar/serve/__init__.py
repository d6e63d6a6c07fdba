"""One server for people (a web page) and programs (an OpenAI-compatible API).

`app.create_app` puts it together; `state.State` is what every part of it shares. Every request
has an `Identity` (who.py); what it may see is decided by `Accounts` and enforced below, in the
collection that `Library` opens for that identity.
"""
