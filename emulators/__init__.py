"""The world a disaster-recovery product talks to: vCenter, Azure, blob storage, guests, and the network between them."""
