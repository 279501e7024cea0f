//! The labs on Compose.
