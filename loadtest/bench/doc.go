// Package bench measures a wadm-compatible server over NATS with simulated hosts:
// what a quiet heartbeat costs, how many heartbeats it handles, how soon a command
// follows on a stopped instance and on a deployment.
//
// A server counts as having handled an event when no consumer of any stream has it
// pending or unacknowledged any more. The processor time is that of one process,
// by /proc; messages and bytes are those of all connections to the NATS server that
// are not the tool's own. Figures of two servers compare only when they were taken
// on one machine in one run.
package bench
