package shardtest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"wadm/shard"
)

// member is a stored membership record.
type member struct {
	m   shard.Member
	rev uint64
	at  time.Time
}

// World is a Memory with what a fleet needs besides: members, views, beats and a
// ledger that can be reached or not. Give each instance its own [Link], so that
// it can be cut off alone.
type World struct {
	*Memory
	// TTL is the life of a membership record; 15 s.
	TTL time.Duration

	mu      sync.Mutex
	rev     uint64
	members map[shard.MemberID]member
	view    *shard.View
	views   []shard.View
	feedsM  map[*feed[shard.MemberChange]]bool
	feedsV  map[*feed[shard.View]]bool
	links   map[*Link]bool
	created time.Time
}

// NewWorld makes an empty world.
func NewWorld() *World {
	return &World{
		Memory: NewMemory(), TTL: 15 * time.Second, members: map[shard.MemberID]member{},
		feedsM: map[*feed[shard.MemberChange]]bool{}, feedsV: map[*feed[shard.View]]bool{},
		links: map[*Link]bool{}, created: time.Now(),
	}
}

// Run lets membership records expire until ctx ends.
func (w *World) Run(ctx context.Context) {
	t := time.NewTicker(100 * time.Millisecond)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			w.expire()
		case <-ctx.Done():
			return
		}
	}
}

func (w *World) expire() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for id, m := range w.members {
		if time.Since(m.at) >= w.TTL {
			w.gone(id, false)
		}
	}
}

// gone removes a record. It is called with mu held.
func (w *World) gone(id shard.MemberID, left bool) {
	w.rev++
	delete(w.members, id)
	for f := range w.feedsM {
		f.push(shard.MemberChange{Member: shard.Member{ID: id}, Rev: w.rev, Gone: true, Left: left})
	}
}

// Views lists every view there was, in order.
func (w *World) Views() []shard.View {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.views)
}

// RemoveView removes the stored view, as an operator may.
func (w *World) RemoveView() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rev++
	w.view = nil
	for f := range w.feedsV {
		f.push(shard.View{})
	}
}

// Link is one instance's connection to the world.
type Link struct {
	w *World

	mu     sync.Mutex
	cut    bool
	stores bool // the stores do not answer, beats flow
	lag    time.Duration
	deaf   map[shard.MemberID]bool
	beats  map[*feed[shard.Beat]]bool
}

// Link makes a connection.
func (w *World) Link() *Link {
	l := &Link{w: w, deaf: map[shard.MemberID]bool{}, beats: map[*feed[shard.Beat]]bool{}}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.links[l] = true
	return l
}

// Ports gives the connection as the ports of package shard.
func (l *Link) Ports() shard.Ports {
	return shard.Ports{Registry: l, Claims: l, Members: l, Views: l, Beats: l, Ledger: l}
}

// Cut makes or ends a total loss of connection. Writes under way meanwhile are
// of unknown outcome and not stored.
func (l *Link) Cut(cut bool) { l.set(func() { l.cut = cut }) }

// LoseStores makes or ends an outage of the stores only: beats still flow.
func (l *Link) LoseStores(lost bool) { l.set(func() { l.stores = lost }) }

// Deafen makes or ends one-way deafness towards another instance's beats.
func (l *Link) Deafen(id shard.MemberID, deaf bool) { l.set(func() { l.deaf[id] = deaf }) }

// Lag delays everything that is delivered of the stores, but no answer to a
// request: an instance that comes back is told late what happened meanwhile.
func (l *Link) Lag(d time.Duration) { l.set(func() { l.lag = d }) }

func (l *Link) set(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
}

// reach waits out ctx when the stores cannot be reached.
func (l *Link) reach(ctx context.Context) error {
	l.mu.Lock()
	gone := l.cut || l.stores
	l.mu.Unlock()
	if !gone {
		return ctx.Err()
	}
	<-ctx.Done()
	return fmt.Errorf("%w: %w", shard.ErrUnknownOutcome, ctx.Err())
}

// connect waits until the stores can be reached, as a subscription does that is
// tried again and again.
func (l *Link) connect(ctx context.Context) error {
	held(ctx, l, func(struct{}) {})(struct{}{})
	return ctx.Err()
}

// held runs a subscription whose deliveries wait while the link is cut.
func held[T any](ctx context.Context, l *Link, seen func(T)) func(T) {
	return func(x T) {
		for {
			if ctx.Err() != nil {
				return
			}
			l.mu.Lock()
			gone, lag := l.cut || l.stores, l.lag
			l.mu.Unlock()
			if !gone {
				time.Sleep(lag)
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		seen(x)
	}
}

// Register implements shard.Registry.
func (l *Link) Register(ctx context.Context, k shard.Key) error {
	if err := l.reach(ctx); err != nil {
		return err
	}
	return l.w.Register(ctx, k)
}

// Unregister implements shard.Registry.
func (l *Link) Unregister(ctx context.Context, k shard.Key) error {
	if err := l.reach(ctx); err != nil {
		return err
	}
	return l.w.Unregister(ctx, k)
}

// Watch implements shard.Registry.
func (l *Link) Watch(ctx context.Context, seen func([]shard.KeyChange)) error {
	if err := l.connect(ctx); err != nil {
		return err
	}
	return l.w.Watch(ctx, held(ctx, l, seen))
}

// Put implements shard.Claims.
func (l *Link) Put(ctx context.Context, k shard.Key, r shard.Record, expect uint64) (uint64, error) {
	if err := l.reach(ctx); err != nil {
		return 0, err
	}
	return l.w.Put(ctx, k, r, expect)
}

// Last implements shard.Claims.
func (l *Link) Last(ctx context.Context, k shard.Key) (shard.Head, error) {
	if err := l.reach(ctx); err != nil {
		return shard.Head{}, err
	}
	return l.w.Last(ctx, k)
}

// Follow implements shard.Claims.
func (l *Link) Follow(ctx context.Context, seen func([]shard.Head)) error {
	if err := l.connect(ctx); err != nil {
		return err
	}
	return l.w.Follow(ctx, held(ctx, l, seen))
}

// Probe implements shard.Ledger.
func (l *Link) Probe(ctx context.Context) (shard.LedgerMark, error) {
	if err := l.reach(ctx); err != nil {
		return shard.LedgerMark{}, err
	}
	return shard.LedgerMark{Created: l.w.created, Last: l.w.lastSeq()}, nil
}

// Append is an owner's write: it is stored if the claim is still the key's last
// record. It fails with shard.ErrFenced when it is not, and with
// shard.ErrUnknownOutcome when the stores do not answer within ctx.
func (l *Link) Append(ctx context.Context, c shard.Claim) error {
	if err := l.reach(ctx); err != nil {
		return err
	}
	return l.w.append(c)
}

// PutMember implements shard.Members.
func (l *Link) PutMember(ctx context.Context, m shard.Member, expect uint64) (uint64, error) {
	if _, err := m.Encode(); err != nil {
		return 0, err
	}
	if err := l.reach(ctx); err != nil {
		return 0, err
	}
	w := l.w
	w.mu.Lock()
	defer w.mu.Unlock()
	var rev uint64
	err := w.fated("member", string(m.ID), func() error {
		if w.members[m.ID].rev != expect {
			return fmt.Errorf("member %s: %w", m.ID, shard.ErrFenced)
		}
		w.rev++
		rev = w.rev
		w.members[m.ID] = member{m: m, rev: rev, at: time.Now()}
		for f := range w.feedsM {
			f.push(shard.MemberChange{Member: m, Rev: rev})
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return rev, nil
}

// DropMember implements shard.Members.
func (l *Link) DropMember(ctx context.Context, id shard.MemberID, expect uint64) error {
	if err := l.reach(ctx); err != nil {
		return err
	}
	w := l.w
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.fated("drop", string(id), func() error {
		if w.members[id].rev != expect {
			return fmt.Errorf("member %s: %w", id, shard.ErrFenced)
		}
		w.gone(id, true)
		return nil
	})
}

// WatchMembers implements shard.Members.
func (l *Link) WatchMembers(ctx context.Context, seen func([]shard.MemberChange)) error {
	if err := l.connect(ctx); err != nil {
		return err
	}
	w := l.w
	w.mu.Lock()
	var first []shard.MemberChange
	for _, m := range slices.Collect(maps.Values(w.members)) {
		first = append(first, shard.MemberChange{Member: m.m, Rev: m.rev})
	}
	f := newFeed[shard.MemberChange]()
	w.feedsM[f] = true
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.feedsM, f)
	}()
	s := held(ctx, l, seen)
	s(first)
	return f.run(ctx, s)
}

// PutView implements shard.Views.
func (l *Link) PutView(ctx context.Context, v shard.View, expect uint64) (uint64, error) {
	if _, err := v.Encode(); err != nil {
		return 0, err
	}
	if err := l.reach(ctx); err != nil {
		return 0, err
	}
	w := l.w
	w.mu.Lock()
	defer w.mu.Unlock()
	var rev uint64
	err := w.fated("view", "view", func() error {
		last := uint64(0)
		if w.view != nil {
			last = w.view.Rev
		}
		if last != expect {
			return fmt.Errorf("view: last is %d, not %d: %w", last, expect, shard.ErrFenced)
		}
		w.rev++
		rev = w.rev
		v.Rev = rev
		w.view = &v
		w.views = append(w.views, v)
		for f := range w.feedsV {
			f.push(v)
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return rev, nil
}

// WatchView implements shard.Views.
func (l *Link) WatchView(ctx context.Context, seen func(*shard.View)) error {
	if err := l.connect(ctx); err != nil {
		return err
	}
	w := l.w
	w.mu.Lock()
	first := w.view
	f := newFeed[shard.View]()
	w.feedsV[f] = true
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.feedsV, f)
	}()
	s := held(ctx, l, seen)
	s(first)
	return f.run(ctx, func(vs []shard.View) {
		for _, v := range vs {
			if v.Rev == 0 { // it was removed
				s(nil)
				continue
			}
			s(&v)
		}
	})
}

// SendBeat implements shard.Beats.
func (l *Link) SendBeat(b shard.Beat) error {
	if _, err := b.Encode(); err != nil {
		return err
	}
	l.mu.Lock()
	cut := l.cut
	l.mu.Unlock()
	if cut {
		return nil // lost, as a beat may be
	}
	l.w.mu.Lock()
	links := slices.Collect(maps.Keys(l.w.links))
	l.w.mu.Unlock()
	for _, o := range links {
		o.mu.Lock()
		if !o.cut && !o.deaf[b.ID] {
			for f := range o.beats {
				f.push(b)
			}
		}
		o.mu.Unlock()
	}
	return nil
}

// ReceiveBeats implements shard.Beats.
func (l *Link) ReceiveBeats(ctx context.Context, seen func(shard.Beat)) error {
	f := newFeed[shard.Beat]()
	l.mu.Lock()
	l.beats[f] = true
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.beats, f)
	}()
	return f.run(ctx, func(bs []shard.Beat) {
		for _, b := range bs {
			seen(b)
		}
	})
}
