"""What gateways and remote agents say to each other: generated from proto/pavo/fleet/v1/fleet.proto."""
