"""Images as samples: how they are read, batched and turned into features."""
