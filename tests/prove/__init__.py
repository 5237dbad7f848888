"""The long proof: tens of thousands of requests under a random fault schedule, and then all books agree."""
