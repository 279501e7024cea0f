//! The labs on Swarm.
