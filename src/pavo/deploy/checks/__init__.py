"""What is looked at before a rollout: settings, services, versions, disk, clocks, migrations, open histories."""
