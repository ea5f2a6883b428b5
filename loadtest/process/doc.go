// Package process runs programs as processes of their own, for the tests that
// need real ones: real signals, a real kill, exit codes, a restart that
// remembers nothing but what NATS keeps.
//
// Build compiles the server; Start runs a program in a process group of its
// own, so that it can be killed with everything it started, and keeps what it
// writes. On Linux a process ends with the one that started it, even when that
// one is killed itself.
//
// The tests of this package hold the server against simulated hosts: killed in
// the middle of work, stopped in order, without NATS for a while, fed with
// nonsense. Package loadtest/e2e does the same with real hosts.
package process
