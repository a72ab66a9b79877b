"""The trail of security events: who logged in, and who changed what matters."""
