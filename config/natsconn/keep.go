package natsconn

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// ErrCountsAnew means that a stream was replaced by one whose sequences begin
// below those that are known. Whoever compares revisions has to start over.
var ErrCountsAnew = errors.New("stream was replaced and counts anew")

const (
	// keepEvery is the time between two looks at the streams that are kept.
	keepEvery = 5 * time.Second
	// keepSoon is that time until each has been seen once: what is deleted before
	// cannot be made as it was.
	keepSoon = 100 * time.Millisecond
	// keepSettle is how long a stream must stay away before it is made again: a
	// server lists a deleted stream no more before it removes its files.
	keepSettle = 2 * time.Second
	// keepGap is more than anybody stores between two looks. What is made again goes
	// on counting beyond it, so that revisions keep rising and consumers that go on
	// from where they stood miss nothing.
	keepGap = 1 << 20
)

// Kept is a stream that must be there. A bucket's stream is KV_{bucket}.
type Kept struct {
	Name string
	// Made, if not nil, is called after the stream has been made again, by whomever.
	// What was in it is gone.
	Made func(ctx context.Context)
	// MayCountAnew: nobody remembers sequences of this stream.
	MayCountAnew bool
}

// kept is what is known of a stream.
type kept struct {
	Kept
	config  jetstream.StreamConfig
	created time.Time
	last    uint64
	failed  string
}

// KeepStreams makes the streams again that somebody deletes, empty but otherwise
// as they were, until ctx ends. A stream that is not there at the first look is
// looked for until it is. While JetStream does not answer, nothing is made. It
// returns nil when ctx ends, and ErrCountsAnew (wrapped) when another one has put
// a stream in place of a lost one whose sequences are too low.
func KeepStreams(ctx context.Context, js jetstream.JetStream, log *slog.Logger, streams ...Kept) error {
	all := make([]*kept, len(streams))
	for i, s := range streams {
		all[i] = &kept{Kept: s}
	}
	t := time.NewTimer(keepEvery)
	defer t.Stop()
	for {
		next := keepEvery
		for _, k := range all {
			if err := k.look(ctx, js, log); err != nil {
				return err
			}
			if k.config.Name == "" {
				next = keepSoon
			}
		}
		t.Reset(next)
		select {
		case <-t.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// look compares a stream with what is known of it. Its error ends the keeping.
func (k *kept) look(ctx context.Context, js jetstream.JetStream, log *slog.Logger) error {
	info, err := k.info(ctx, js)
	if errors.Is(err, jetstream.ErrStreamNotFound) && k.config.Name == "" {
		return nil // who makes it is about to, or says what hinders it
	}
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		log.Warn("stream has disappeared and is made again", "stream", k.Name, "in", keepSettle)
		t := time.NewTimer(keepSettle)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
			return nil
		}
		if info, err = k.info(ctx, js); errors.Is(err, jetstream.ErrStreamNotFound) {
			info, err = k.make(ctx, js)
		}
	}
	if err != nil {
		// Once per reason: it is tried again at the next look.
		if why := err.Error(); ctx.Err() == nil && why != k.failed {
			k.failed = why
			log.Warn("stream cannot be looked at", "stream", k.Name, "error", err)
		}
		return nil
	}
	k.failed = ""
	known, before := k.config.Name != "", k.last
	another := known && !info.Created.Equal(k.created)
	k.config, k.created, k.last = info.Config, info.Created, info.State.LastSeq
	if !another {
		return nil
	}
	if info.State.LastSeq < before && !k.MayCountAnew {
		return fmt.Errorf("stream %s: %w: from %d on, and %d was known", k.Name, ErrCountsAnew, info.State.FirstSeq, before)
	}
	log.Warn("stream has been made again; what was in it is gone", "stream", k.Name)
	if k.Made != nil {
		k.Made(ctx)
	}
	return nil
}

func (k *kept) info(ctx context.Context, js jetstream.JetStream) (*jetstream.StreamInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, keepEvery)
	defer cancel()
	st, err := js.Stream(ctx, k.Name)
	if err != nil {
		return nil, err
	}
	return st.CachedInfo(), nil
}

// make creates the stream as it was. Of several that do so at once, one succeeds,
// and the others find its stream.
func (k *kept) make(ctx context.Context, js jetstream.JetStream) (*jetstream.StreamInfo, error) {
	limited, cancel := context.WithTimeout(ctx, keepEvery)
	defer cancel()
	want := k.config
	want.FirstSeq = k.last + keepGap
	st, err := js.CreateStream(limited, want)
	if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
		return k.info(ctx, js)
	}
	if err != nil {
		return nil, err
	}
	return st.CachedInfo(), nil
}
