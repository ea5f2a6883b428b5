package natsjs

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"wadm/scheduler"
	"wadm/tenancy"
)

// Metadata of a consumer: the claim it was made under, and in which ledger the
// claim's epoch counts.
const (
	metaEpoch  = "wadm-epoch"
	metaLedger = "wadm-ledger"
)

// Errors of consumers in the wire's numbering that nats.go has no name for.
const codeConsumerInvalid jetstream.ErrorCode = 10012

// stuckAfter is how often a consumer may fail to answer before it is deleted and
// made anew: its server is gone and the cluster still knows its name.
const stuckAfter = 2

// consumerName is the durable name of a lattice's consumer. The tenant is in the
// stream's name.
func consumerName(key tenancy.LatticeKey) string { return "wadm-" + string(key.Lattice) }

func (a *attachment) consumerConfig(from uint64) jetstream.ConsumerConfig {
	cfg := a.in.s.cfg
	c := jetstream.ConsumerConfig{
		Durable:           a.consumer,
		Description:       "events of lattice " + string(a.claim.Key.Lattice),
		FilterSubject:     storedSubject + string(a.claim.Key.Lattice),
		DeliverPolicy:     jetstream.DeliverAllPolicy,
		AckPolicy:         jetstream.AckExplicitPolicy,
		AckWait:           cfg.AckWait,
		MaxAckPending:     cfg.MaxAckPending,
		InactiveThreshold: cfg.Inactive,
		// One copy in memory: on disk the server writes a file per event, and
		// copies cost a consensus group per lattice. What is lost is made again.
		MemoryStorage: true,
		Replicas:      1,
		Metadata: map[string]string{
			metaEpoch:  strconv.FormatUint(a.claim.Epoch, 10),
			metaLedger: a.in.s.ledgerID,
		},
	}
	if from > 0 {
		c.DeliverPolicy, c.OptStartSeq = jetstream.DeliverByStartSequencePolicy, from
	}
	return c
}

// suits reports whether an existing consumer works as ours would.
func (a *attachment) suits(have jetstream.ConsumerConfig) bool {
	want := a.consumerConfig(0)
	return have.FilterSubject == want.FilterSubject && len(have.FilterSubjects) == 0 &&
		have.AckPolicy == want.AckPolicy && have.AckWait == want.AckWait && have.MaxAckPending == want.MaxAckPending &&
		have.MemoryStorage == want.MemoryStorage && have.InactiveThreshold == want.InactiveThreshold &&
		have.PriorityPolicy == jetstream.PriorityPolicyNone
}

// newer reports whether the consumer was made under a newer claim than ours.
func (a *attachment) newer(have jetstream.ConsumerConfig) bool {
	epoch, err := strconv.ParseUint(have.Metadata[metaEpoch], 10, 64)
	return err == nil && have.Metadata[metaLedger] == a.in.s.ledgerID && epoch > a.claim.Epoch
}

// bring tries until the consumer is there. first says that no request of ours
// can be open; created tells that it was made anew and events may be missed.
func (a *attachment) bring(ctx context.Context, first bool) (created bool, err error) {
	// A lost consumer is most likely missing; one never seen may be anybody's.
	look, stuck := first, 0
	for try := 0; ; try++ {
		select {
		case a.in.creates <- struct{}{}:
		case <-a.in.done:
			return false, ErrStopped
		case <-ctx.Done():
			return false, context.Cause(ctx)
		}
		created, err = a.bringOnce(ctx, first, look, stuck >= stuckAfter)
		<-a.in.creates
		switch {
		case err == nil:
			return created, nil
		case ctx.Err() != nil:
			return false, context.Cause(ctx)
		case errors.Is(err, scheduler.ErrFenced):
			return false, err
		case look:
			stuck++
		case errors.Is(err, jetstream.ErrConsumerExists):
			look = true
			continue
		}
		level := a.in.log.Debug
		if try == 5 {
			level = a.in.log.Warn // by now it is no restart of a server any more
		}
		level("consumer of events not there", "tenant", a.claim.Key.Tenant, "lattice", a.claim.Key.Lattice, "epoch", a.claim.Epoch, "error", err)
		if !pause(ctx, try) {
			return false, context.Cause(ctx)
		}
	}
}

// bringOnce takes over the consumer that exists or makes one.
func (a *attachment) bringOnce(ctx context.Context, first, look, stuck bool) (created bool, err error) {
	began := time.Now()
	if look {
		// A reset of a missing consumer would not be answered; this is.
		have, err := a.in.s.js.Consumer(ctx, a.ev.stream, a.consumer)
		switch {
		case err == nil:
			return false, a.takeOver(ctx, have.CachedInfo(), first, stuck)
		case errors.Is(err, jetstream.ErrConsumerNotFound), errors.Is(err, jetstream.ErrStreamNotFound):
		case stuck:
			// The cluster knows the name and nobody answers for it.
			a.in.log.Warn("consumer of events does not answer, it is made anew", "tenant", a.claim.Key.Tenant, "lattice", a.claim.Key.Lattice, "epoch", a.claim.Epoch)
			if err := a.in.s.js.DeleteConsumer(ctx, a.ev.stream, a.consumer); err != nil {
				a.in.log.Debug("consumer not deleted", "tenant", a.claim.Key.Tenant, "lattice", a.claim.Key.Lattice, "error", err)
			}
		default:
			return false, fmt.Errorf("look up consumer %s: %w", a.consumer, err)
		}
	}
	if err := a.ev.look(ctx, began); err != nil {
		return false, err
	}
	a.mu.Lock()
	if now := a.ev.now(); now != a.incarnation {
		a.incarnation, a.last, a.pending, a.free = now, 0, nil, nil
	}
	from := a.position()
	a.mu.Unlock()
	if err := a.create(ctx, from); err != nil {
		return false, err
	}
	a.found(true)
	return true, nil
}

// takeOver makes an existing consumer ours. A reset puts it back to what was
// acknowledged, so that the events the previous owner left come at once instead
// of after the wait for its acknowledgements.
func (a *attachment) takeOver(ctx context.Context, have *jetstream.ConsumerInfo, first, stuck bool) error {
	js, stream := a.in.s.js, a.ev.stream
	if a.newer(have.Config) {
		return fmt.Errorf("consumer %s of epoch %s: %w", a.consumer, have.Config.Metadata[metaEpoch], scheduler.ErrFenced)
	}
	// Somebody else's standing request would take every other event.
	foreign := first && have.NumWaiting > 0
	// A server before 2.14 leaves a reset unanswered.
	if !foreign && !stuck && a.suits(have.Config) && resets(a.in.s.nc.ConnectedServerVersion()) {
		if _, err := js.ResetConsumer(ctx, stream, a.consumer); err != nil {
			return fmt.Errorf("reset consumer %s: %w", a.consumer, err)
		}
		a.in.stats.reset.Add(1)
		a.found(false)
		return nil
	}
	a.in.log.Info("consumer of events replaced", "tenant", a.claim.Key.Tenant, "lattice", a.claim.Key.Lattice, "epoch", a.claim.Epoch, "foreign_requests", foreign)
	if err := js.DeleteConsumer(ctx, stream, a.consumer); err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
		return fmt.Errorf("delete consumer %s: %w", a.consumer, err)
	}
	// Nothing is missed: the new one starts where the old one stood.
	if err := a.create(ctx, have.AckFloor.Stream+1); err != nil {
		return err
	}
	a.found(false)
	return nil
}

// found: the consumer is there and has no request of ours yet.
func (a *attachment) found(created bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.lost, a.off = false, false
	a.open = 0
	a.heard = time.Now()
	if created {
		// What waits here comes again.
		clear(a.queue)
		a.queue, a.head = a.queue[:0], 0
	}
}

func (a *attachment) create(ctx context.Context, from uint64) error {
	_, err := a.in.s.js.CreateConsumer(ctx, a.ev.stream, a.consumerConfig(from))
	var api *jetstream.APIError
	if errors.As(err, &api) {
		switch api.ErrorCode {
		case jetstream.JSErrCodeConsumerExists, jetstream.JSErrCodeConsumerNameExists, jetstream.JSErrCodeConsumerAlreadyExists, codeConsumerInvalid:
			err = fmt.Errorf("%w: %w", jetstream.ErrConsumerExists, err)
		}
	}
	if err != nil {
		return fmt.Errorf("create consumer %s: %w", a.consumer, err)
	}
	a.in.stats.created.Add(1)
	return nil
}

// resets reports whether a server of this version can reset a consumer. An
// unknown version is taken for a new one.
func resets(version string) bool {
	major, rest, ok := strings.Cut(version, ".")
	minor, _, _ := strings.Cut(rest, ".")
	x, err := strconv.Atoi(major)
	y, err2 := strconv.Atoi(minor)
	if !ok || err != nil || err2 != nil {
		return true
	}
	return x > 2 || x == 2 && y >= 14
}
