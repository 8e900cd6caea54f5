"""The services, what they share (`runtime`), and what assembles them (`assembly`, `cli`)."""
