"""`make chaos`: all of Rapt on real parts, broken by a seeded schedule, and at the end nothing lost, nothing twice."""
