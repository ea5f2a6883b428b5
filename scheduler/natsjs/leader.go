package natsjs

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	// electedSubject is where a server tells that it leads a stream now; the stream's
	// name follows.
	electedSubject = "$JS.EVENT.ADVISORY.STREAM.LEADER_ELECTED."
	// settling is how long a new leader may take until events reach it: it is known
	// before the servers know that it wants them.
	settling = 500 * time.Millisecond
	// gapsPerSweep bounds the lattices that are told of a gap together because their
	// stream has a new leader.
	gapsPerSweep = 100
)

// leadership notices that a stream of several copies has another leader. What was
// published while there was none is stored nowhere: hosts wait for no answer.
type leadership struct {
	mu     sync.Mutex
	leader string
	// elected is when that was, by the server's clock; zero if it does not say.
	elected time.Time
	// term counts the leaders after the first one that was heard of; the newest was
	// noticed then.
	term    uint64
	noticed time.Time
}

// heard takes what the stream's server says about its cluster.
func (l *leadership) heard(c *jetstream.ClusterInfo, now time.Time) {
	if c == nil || len(c.Replicas) == 0 || c.Leader == "" {
		return
	}
	var elected time.Time
	if c.LeaderSince != nil {
		elected = *c.LeaderSince
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.Leader == l.leader && elected.Equal(l.elected) {
		return
	}
	if l.leader != "" {
		l.term++
		l.noticed = now
	}
	l.leader, l.elected = c.Leader, elected
}

// settled is the term, once no event is lost in it any more. Before that, and with
// the first leader, it is 0.
func (l *leadership) settled(now time.Time) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Sub(l.noticed) < settling {
		return 0
	}
	return l.term
}

// lookAtLeader finds out who leads the stream. Without an answer, the next look for
// lattices does.
func (e *events) lookAtLeader(ctx context.Context) {
	st, err := e.s.js.Stream(ctx, e.stream)
	if err != nil {
		e.s.log.Debug("leader of the stream of events not known", "tenant", e.tenant, "error", err)
		return
	}
	e.heard(st.CachedInfo())
}

// elected finds the events whose stream an advisory on subject is about.
func (s *Streams) elected(subject string) *events {
	stream := strings.TrimPrefix(subject, electedSubject)
	for _, e := range s.allEvents() {
		if e.stream == stream {
			return e
		}
	}
	return nil
}

// missed notes a gap when the stream has had another leader since there was one.
func (a *attachment) missed(now time.Time) bool {
	term := a.ev.leadership.settled(now)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.lost || a.term >= term { // a new consumer comes with a gap
		return false
	}
	a.term, a.gap = term, true
	a.signal()
	return true
}
