package natsjs

import "wadm/scheduler/lattice"

// What the fuzz targets and tables reach.
var (
	AckSubject = ackSubject
	Covers     = covers
	Resets     = resets
)

// Doubt pairs the messages of a lattice's command subject.
func Doubt(messages ...[]byte) []lattice.Command {
	d := newDoubt()
	for _, m := range messages {
		_ = d.add(m)
	}
	return d.list()
}

// Waiting counts the callers of Publish that have not returned.
func Waiting(p *Statuses) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for _, slot := range p.apps {
		n += slot.users
	}
	return n
}
