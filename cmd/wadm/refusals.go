package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"wadm/shard"
)

// refusalLimit is how long JetStream may refuse writes before the instance counts
// as not ready. An election refuses them for a moment.
const refusalLimit = 5 * time.Second

// refusals notes that JetStream refuses to store something, for want of room above
// all. Claims and membership records show it: each instance writes a record every
// two seconds, and nothing is done for a lattice without a claim.
type refusals struct {
	log *slog.Logger

	mu sync.Mutex
	// since and why are of the first refusal after the last success, by what is written.
	since map[string]time.Time
	why   map[string]error
}

func newRefusals(log *slog.Logger) *refusals {
	return &refusals{log: log, since: map[string]time.Time{}, why: map[string]error{}}
}

// watch has the writes of a fleet member noted.
func (r *refusals) watch(p shard.Ports) shard.Ports {
	p.Claims = watchedClaims{p.Claims, r}
	p.Members = watchedMembers{p.Members, r}
	return p
}

type watchedClaims struct {
	shard.Claims
	r *refusals
}

func (c watchedClaims) Put(ctx context.Context, k shard.Key, rec shard.Record, expect uint64) (uint64, error) {
	seq, err := c.Claims.Put(ctx, k, rec, expect)
	c.r.note("claims", err)
	return seq, err
}

type watchedMembers struct {
	shard.Members
	r *refusals
}

func (m watchedMembers) PutMember(ctx context.Context, rec shard.Member, expect uint64) (uint64, error) {
	rev, err := m.Members.PutMember(ctx, rec, expect)
	m.r.note("membership records", err)
	return rev, err
}

// note takes the outcome of a write. A condition that does not hold is an answer
// like any other, and silence says nothing.
func (r *refusals) note(what string, err error) {
	api, refused := errors.AsType[*jetstream.APIError](err)
	refused = refused && !errors.Is(err, shard.ErrFenced) && !errors.Is(err, shard.ErrBusy)
	r.mu.Lock()
	defer r.mu.Unlock()
	before := r.since[what]
	switch {
	case refused && before.IsZero():
		r.since[what], r.why[what] = time.Now(), api
		r.log.Error("JetStream refuses what must be stored", "what", what, "error", err)
	case err == nil && !before.IsZero():
		delete(r.since, what)
		delete(r.why, what)
		r.log.Info("JetStream stores again", "what", what, "after", time.Since(before))
	}
}

// check is nil unless writes have been refused for longer than refusalLimit.
func (r *refusals) check() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for what, since := range r.since {
		if d := time.Since(since); d >= refusalLimit {
			return fmt.Errorf("JetStream has refused to store %s for %v: %w", what, d.Round(time.Second), r.why[what])
		}
	}
	return nil
}
