package scheduler

import "sync/atomic"

// Stats counts since the process started. It is read by telemetry.
type Stats struct {
	// Events counts deliveries; Unchanged of them were heartbeats without news,
	// Dropped could not be used.
	Events, Unchanged, Dropped atomic.Uint64
	// Commands counts what was appended to the ledger; the others its outcomes.
	Commands, Accepted, Refused, Undelivered, Unanswered atomic.Uint64
	// Queries counts questions to hosts.
	Queries atomic.Uint64
	// Statuses counts published statuses.
	Statuses atomic.Uint64
	// Fenced counts claims that turned out to be lost, Panics caught panics.
	Fenced, Panics atomic.Uint64
}
