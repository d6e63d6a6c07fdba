"""The web page: one module per screen, built with NiceGUI."""
