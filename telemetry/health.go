package telemetry

import (
	"context"
	"slices"
	"sync"
	"time"
)

// checkTimeout bounds one check of health. Probes give up after a second or two.
const checkTimeout = time.Second

// Check reports what is wrong, or nil. It must return soon and at the latest when ctx
// ends, and may be called from several goroutines at once.
type Check func(ctx context.Context) error

// Health is the set of checks behind the readiness probe. Add checks while
// starting; it is safe for concurrent use.
type Health struct {
	mu        sync.Mutex
	readiness []namedCheck
}

type namedCheck struct {
	name  string
	check Check
}

// NewHealth returns a Health without checks: ready.
func NewHealth() *Health { return &Health{} }

// AddReadiness adds a condition of being of use.
func (h *Health) AddReadiness(name string, check Check) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.readiness = append(h.readiness, namedCheck{name, check})
}

// Ready returns why the process is of no use now; empty when it is ready.
func (h *Health) Ready(ctx context.Context) []string {
	h.mu.Lock()
	checks := slices.Clone(h.readiness)
	h.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	var reasons []string
	for _, c := range checks {
		if err := c.check(ctx); err != nil {
			reasons = append(reasons, c.name+": "+err.Error())
		}
	}
	return reasons
}
