"""What is proven of a schedule."""
