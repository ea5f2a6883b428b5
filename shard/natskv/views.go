package natskv

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"wadm/config/natsconn"
	"wadm/shard"
)

// viewKey is the one entry of the view's bucket.
const viewKey = "view"

// PutView implements shard.Views.
func (s *Store) PutView(ctx context.Context, v shard.View, expect uint64) (uint64, error) {
	body, err := v.Encode()
	if err != nil {
		return 0, err
	}
	rev, err := s.putEntry(ctx, s.view, viewKey, body, expect)
	if err != nil {
		return 0, fmt.Errorf("put view: %w", err)
	}
	return rev, nil
}

// WatchView implements shard.Views.
func (s *Store) WatchView(ctx context.Context, seen func(*shard.View)) error {
	return watch(ctx, s.js, s.view, false, func(key string, e natsconn.Message) (*shard.View, bool) {
		if key != viewKey {
			return nil, false
		}
		if e.Op() != jetstream.KeyValuePut {
			return nil, true // somebody removed it
		}
		v, err := shard.DecodeView(e.Data)
		if err != nil {
			// Whoever wrote it knows more than this build.
			v = shard.View{Schema: shard.Schema + 1}
		}
		v.Rev = e.Seq
		return &v, true
	}, func(vs []*shard.View) {
		if len(vs) == 0 {
			seen(nil)
			return
		}
		seen(vs[len(vs)-1])
	})
}

// SendBeat implements shard.Beats.
func (s *Store) SendBeat(b shard.Beat) error {
	body, err := b.Encode()
	if err != nil {
		return err
	}
	if err := s.nc.Publish(s.cfg.Beats+"."+string(b.ID), body); err != nil {
		return fmt.Errorf("send beat: %w", err)
	}
	return nil
}

// ReceiveBeats implements shard.Beats. What is not a beat of the instance in its
// subject is ignored.
func (s *Store) ReceiveBeats(ctx context.Context, seen func(shard.Beat)) error {
	msgs := make(chan *nats.Msg, 1024)
	sub, err := s.nc.ChanSubscribe(s.cfg.Beats+".*", msgs)
	if err != nil {
		return fmt.Errorf("receive beats: %w", err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	closed := sub.StatusChanged(nats.SubscriptionClosed)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-closed:
			return fmt.Errorf("receive beats: %w", nats.ErrBadSubscription)
		case m := <-msgs:
			b, err := shard.DecodeBeat(m.Data)
			if err == nil && m.Subject == s.cfg.Beats+"."+string(b.ID) {
				seen(b)
			}
		}
	}
}

// Probe implements shard.Ledger: the server that leads the ledger answers.
func (s *Store) Probe(ctx context.Context) (shard.LedgerMark, error) {
	st, err := s.js.Stream(ctx, s.cfg.Ledger)
	if err != nil {
		return shard.LedgerMark{}, fmt.Errorf("probe ledger: %w", err)
	}
	i := st.CachedInfo()
	return shard.LedgerMark{Created: i.Created, Last: i.State.LastSeq}, nil
}
