"""Faults at random moments while trades flow, from a plan that its seed gives again."""
