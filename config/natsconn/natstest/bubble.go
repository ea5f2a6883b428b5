package natstest

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats-server/v2/server/ats"

	"wadm/config/natsconn/embedded"
)

// stuckAfter is how much real time a bubble gets. Bubbles take milliseconds;
// one that takes this long waits for something outside it and would otherwise
// hang until the whole test binary is killed, without a word about the cause.
const stuckAfter = 2 * time.Minute

// Bubble runs fn in a testing/synctest bubble together with a server of its
// own, which has no sockets: connect with [Server.Connect] inside fn. Time
// stands still until everything in the bubble waits, then jumps; so expiry,
// acknowledgement waits and timers of hours are exact and take milliseconds.
//
// Streams, buckets and consumers must use memory storage: file storage reads
// the real clock. [Server.Restart] cannot be used. Within fn, t is the bubble's:
// no t.Run, t.Parallel or rapid.Check; draw outside and run a bubble per draw.
func Bubble(t *testing.T, fn func(t *testing.T, s *Server), opts ...Option) {
	t.Helper()
	// The options run outside too: what they create must not belong to the bubble.
	cfg := embedded.Config{InProcessOnly: true}
	for _, opt := range opts {
		opt(t, &cfg)
	}
	if cfg.StoreDir == "" && !cfg.NoJetStream {
		cfg.StoreDir = t.TempDir()
	}
	// All servers of a process share one goroutine that refreshes the time of
	// access; the first server starts it. Started inside the bubble it would
	// wait on a channel from outside, and the bubble could never come to rest.
	ats.Register()
	defer ats.Unregister()
	watchdog := time.AfterFunc(stuckAfter, func() {
		panic("natstest: " + t.Name() + ": the bubble does not come to rest: something in it waits for the outside (a socket, file storage, a channel made before it)")
	})
	defer watchdog.Stop()
	synctest.Test(t, func(t *testing.T) {
		fn(t, start(t, cfg, nil))
	})
}
