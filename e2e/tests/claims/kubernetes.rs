//! The labs on Kubernetes.
