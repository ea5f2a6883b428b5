package shard

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// mailbox hands work to the one goroutine that owns an instance's state.
// Posting never blocks, so no callback can stall its sender.
type mailbox struct {
	mu     sync.Mutex
	items  []func(now time.Time)
	signal chan struct{}
}

func newMailbox() *mailbox { return &mailbox{signal: make(chan struct{}, 1)} }

func (m *mailbox) post(f func(now time.Time)) {
	m.mu.Lock()
	m.items = append(m.items, f)
	m.mu.Unlock()
	select {
	case m.signal <- struct{}{}:
	default:
	}
}

func (m *mailbox) take() []func(now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	fs := m.items
	m.items = nil
	return fs
}

// follow keeps a subscription alive until ctx ends: what returns with an error
// is called again, after a pause that grows while it keeps failing.
func follow(ctx context.Context, log *slog.Logger, what string, run func(context.Context) error) {
	const least, most = 100 * time.Millisecond, time.Second
	pause := least
	for ctx.Err() == nil {
		began := time.Now()
		err := run(ctx)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			continue // it was ended to be started again
		}
		if time.Since(began) > most {
			pause = least
		}
		log.Warn("subscription lost, starting it again", "what", what, "error", err)
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
		}
		pause = min(2*pause, most)
	}
}

// firstThen adapts a callback whose first call after each start is a snapshot.
func firstThen[T any](f func(items []T, reset bool)) func() func([]T) {
	return func() func([]T) {
		reset := true
		return func(items []T) {
			f(items, reset)
			reset = false
		}
	}
}
