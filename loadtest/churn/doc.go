// Package churn drives a wadm-compatible server with random operations on
// simulated lattices, lets it rest, and compares what every host then runs with
// what the deployed manifests demand.
//
// The operations of a run follow from its seed alone: which application changes
// how, which host comes, goes, falls silent or is relabelled, what an operator
// breaks by hand, when. A [Plan] is made before anything is sent and holds the
// world that the operations end in; the demand is computed from that world by
// rules of its own, slow and obvious, that share no code with a scheduler.
//
// Checked while it churns: what simhost calls a violation, and commands that no
// recent manifest explains. Checked at rest: right totals on eligible hosts only,
// right images, configurations and links, nothing left over, nothing foreign
// touched, statuses that say so, and silence: no further command.
//
// The server is known by its NATS subjects only, so any server can be driven.
// Not covered: failures of the server and of NATS themselves.
package churn
