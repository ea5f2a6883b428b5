package natsjs

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	// lookersAtOnce bounds the looks at consumers under way; looksDepth those that
	// wait, the others come with a later sweep.
	lookersAtOnce = 16
	looksDepth    = 1 << 12
	// alarmedPatience is how much silence is doubtful once the consumer of another
	// lattice was gone.
	alarmedPatience = time.Second
	// impatience is the part of the longest patience that the shortest one is.
	impatience = 12
)

// quiet tells when a lattice has sent nothing for longer than is usual for it.
type quiet struct {
	// most is the longest patience.
	most time.Duration
	// heard is when an event came, looked when the consumer was last seen to be there.
	heard, looked time.Time
	// longest is the longest silence in the window that began at since, before the
	// one of the window before that.
	since           time.Time
	longest, before time.Duration
}

func newQuiet(most time.Duration) quiet {
	now := time.Now()
	return quiet{most: most, heard: now, since: now}
}

// hear notes an event.
func (q *quiet) hear(now time.Time) {
	q.note(now)
	q.heard = now
}

// look notes that there was none to hear.
func (q *quiet) look(now time.Time) {
	q.note(now)
	q.looked = now
}

func (q *quiet) note(now time.Time) {
	if now.Sub(q.since) >= q.most {
		q.since, q.before, q.longest = now, q.longest, 0
	}
	q.longest = max(q.longest, now.Sub(q.heard))
}

// last is since when nothing is known.
func (q *quiet) last() time.Time {
	if q.looked.After(q.heard) {
		return q.looked
	}
	return q.heard
}

// patience is how long that may be. Hosts beat regularly, though perhaps all at
// once, so twice the longest silence of late is enough.
func (q *quiet) patience() time.Duration {
	return min(max(2*max(q.longest, q.before), q.most/impatience), q.most)
}

// sweep has the consumer looked up after a silence that is strange: a server that
// dies with it says nothing, and neither does one that is back without its requests.
func (a *attachment) sweep(now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	last := a.quiet.last()
	silence := now.Sub(last)
	strange := silence >= a.quiet.patience() || silence >= alarmedPatience && last.Before(a.ev.alarms.last(now, a.quiet.most/impatience))
	if a.lost || a.unsure || a.looking || !strange {
		return
	}
	select {
	case a.in.looks <- a:
		a.looking = true
	default:
	}
}

// look looks consumers up until ctx ends.
func (in *Intake) look(ctx context.Context) {
	for {
		select {
		case a := <-in.looks:
			a.look(ctx)
		case <-ctx.Done():
			return
		}
	}
}

// look finds out whether the consumer is still the one that was made, and whether a
// request for events stands.
func (a *attachment) look(ctx context.Context) {
	began := time.Now()
	info, err := a.lookUp(ctx)
	a.mu.Lock()
	a.looking = false
	switch {
	case a.lost || a.unsure: // renew looks itself
	case a.quiet.heard.After(began): // an event came meanwhile
	case err == nil && a.made(info):
		a.found(info)
	case err == nil || isAbsent(err) || isOffline(err):
		a.lose()
	} // otherwise nothing is known, and the next sweep asks again
	a.mu.Unlock()
	a.signal()
}

// lookUp asks the server about the consumer.
func (a *attachment) lookUp(ctx context.Context) (*jetstream.ConsumerInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	c, err := a.in.s.js.Consumer(ctx, a.ev.stream, a.consumer)
	if err != nil {
		return nil, err
	}
	return c.CachedInfo(), nil
}

// isAbsent tells that there is no such consumer.
func isAbsent(err error) bool {
	return errors.Is(err, jetstream.ErrConsumerNotFound) || errors.Is(err, jetstream.ErrStreamNotFound)
}

// isOffline tells that the cluster knows the consumer's server to be gone.
func isOffline(err error) bool {
	const code jetstream.ErrorCode = 10119
	apiErr, ok := errors.AsType[*jetstream.APIError](err)
	return ok && apiErr.ErrorCode == code
}

// epochOf is the epoch of the claim that a consumer was made under, 0 if that is
// none of this ledger.
func (a *attachment) epochOf(info *jetstream.ConsumerInfo) uint64 {
	epoch, err := strconv.ParseUint(info.Config.Metadata[metaEpoch], 10, 64)
	if err != nil || info.Config.Metadata[metaLedger] != a.in.s.ledger() {
		return 0
	}
	return epoch
}

// made tells whether a consumer that was looked up is the one of this attachment. One
// that its server has made again starts to count anew. Called with mu.
func (a *attachment) made(info *jetstream.ConsumerInfo) bool {
	return a.begun && !a.reborn && a.epochOf(info) == a.claim.Epoch &&
		info.Delivered.Consumer >= a.count && a.ev.incarnation.Load() == a.incarnation
}

// found goes on with the consumer that was made. Called with mu.
func (a *attachment) found(info *jetstream.ConsumerInfo) {
	if info.NumWaiting == 0 {
		// What requests were to bring has come, or the connection had to drop it.
		a.open = 0
	}
	a.quiet.look(time.Now())
}
