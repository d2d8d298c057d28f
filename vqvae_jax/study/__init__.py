"""Does it help? Ways to grow a small set, compared by what they teach."""
