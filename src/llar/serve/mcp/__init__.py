"""Searches and answers for programs that speak the Model Context Protocol (MCP).

`tools.py` says what can be asked for, `records.py` what comes back, `desk.py` on whose behalf;
`server.py` makes a server of them, for stdin and stdout (`llar mcp`) or for HTTP (`http.py`).
"""
