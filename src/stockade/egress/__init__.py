"""What may leave a machine over the network, and how."""
