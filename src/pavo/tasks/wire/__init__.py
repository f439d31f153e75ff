"""What people and programs are shown of a task: `presenters` makes it of rows, `event_data` has what an event says,
`event_schemas` what viewers get of a timeline. The other shapes are in `tasks.schemas`."""
