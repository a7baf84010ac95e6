"""What the web page shows, as plain data and templates. Requests and answers are for `services.api.routers`."""
