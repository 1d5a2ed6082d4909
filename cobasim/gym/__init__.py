"""The Gymnasium environment, and the allocator that PPO learns in it."""
