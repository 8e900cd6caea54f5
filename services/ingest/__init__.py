"""The edge: browsers stream frames in over a WebSocket and get results back; logins, lectures and sessions by REST."""
