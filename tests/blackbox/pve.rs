//! Proxmox VE: guests as subjects, their counting, the quotas that choose them, and what is done to them.
//!
//! [`cluster::Pve`] plays the cluster. It fails a test that asked it what no right client asks, and the machines here
//! know the token's secret as a secret.

mod cluster;
