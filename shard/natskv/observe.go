package natskv

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"wadm/shard"
)

// ErrAbsent is wrapped by an Observer's errors when what it looks at does not
// exist: no instance has ever run here.
var ErrAbsent = errors.New("does not exist")

// Observer reads what the instances have agreed on. It leaves everything as it was,
// and what it reads may be old by the time it is read.
type Observer struct {
	js  jetstream.JetStream
	cfg Config
}

// NewObserver makes an observer; of cfg only the names and the domain count.
func NewObserver(nc *nats.Conn, cfg Config) (*Observer, error) {
	cfg = cfg.WithDefaults()
	js, err := openJetStream(nc, cfg)
	if err != nil {
		return nil, fmt.Errorf("observe: %w", err)
	}
	return &Observer{js: js, cfg: cfg}, nil
}

// Seen is a membership record, when it was stored, and how long ago that was, both
// by the server's clock. A living instance stores its own again every [shard.FleetConfig.Refresh].
type Seen struct {
	shard.Member
	At  time.Time
	Ago time.Duration
}

// Members lists the membership records, by id.
func (o *Observer) Members(ctx context.Context) ([]Seen, error) {
	var ms []Seen
	err := o.entries(ctx, o.cfg.Members, func(e jetstream.KeyValueEntry) {
		if m, err := shard.DecodeMember(e.Value()); err == nil && string(m.ID) == e.Key() {
			ms = append(ms, Seen{Member: m, At: e.Created()})
		}
	})
	if err != nil {
		return nil, fmt.Errorf("read members: %w", err)
	}
	st, err := o.js.Stream(ctx, "KV_"+o.cfg.Members)
	if err != nil {
		return nil, fmt.Errorf("read members: %w", absent(err))
	}
	for i := range ms {
		ms[i].Ago = st.CachedInfo().TimeStamp.Sub(ms[i].At)
	}
	slices.SortFunc(ms, func(a, b Seen) int { return strings.Compare(string(a.ID), string(b.ID)) })
	return ms, nil
}

// View reads the agreed view and when it was stored, by the server's clock;
// ErrAbsent when there is none yet.
func (o *Observer) View(ctx context.Context) (shard.View, time.Time, error) {
	kv, err := o.js.KeyValue(ctx, o.cfg.View)
	if err != nil {
		return shard.View{}, time.Time{}, fmt.Errorf("read view: %w", absent(err))
	}
	e, err := kv.Get(ctx, viewKey)
	if err != nil {
		return shard.View{}, time.Time{}, fmt.Errorf("read view: %w", absent(err))
	}
	v, err := shard.DecodeView(e.Value())
	if err != nil {
		return shard.View{}, time.Time{}, fmt.Errorf("read view: %w", err)
	}
	v.Rev = e.Revision()
	return v, e.Created(), nil
}

// Keys lists the registered keys, sorted.
func (o *Observer) Keys(ctx context.Context) ([]shard.Key, error) {
	var ks []shard.Key
	err := o.entries(ctx, o.cfg.Lattices, func(e jetstream.KeyValueEntry) {
		if k, err := shard.ParseKey(e.Key()); err == nil {
			ks = append(ks, k)
		}
	}, jetstream.MetaOnly())
	if err != nil {
		return nil, fmt.Errorf("read registry: %w", err)
	}
	slices.Sort(ks)
	return ks, nil
}

// Claim reads the newest claim of a key; Seq is 0 when there is none.
func (o *Observer) Claim(ctx context.Context, k shard.Key) (shard.Head, error) {
	st, err := o.js.Stream(ctx, o.cfg.Ledger)
	if err != nil {
		return shard.Head{}, fmt.Errorf("read claim %s: %w", k, absent(err))
	}
	return (&Store{ledger: st}).Last(ctx, k)
}

// Claims reads the newest claim of every key that has one.
func (o *Observer) Claims(ctx context.Context) (map[shard.Key]shard.Head, error) {
	// One request for each would take minutes where there are many and NATS is far.
	reading, enough := context.WithCancel(ctx)
	defer enough()
	var heads map[shard.Key]shard.Head
	err := followClaims(reading, o.js, o.cfg.Ledger, func(hs []shard.Head) {
		if heads == nil {
			heads = make(map[shard.Key]shard.Head, len(hs))
		}
		for _, h := range hs {
			heads[h.Key] = h
		}
		enough()
	})
	if err == nil && heads == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("read claims: %w", absent(err))
	}
	return heads, nil
}

// entries calls seen with every live entry of a bucket.
func (o *Observer) entries(ctx context.Context, bucket string, seen func(jetstream.KeyValueEntry), opts ...jetstream.WatchOpt) error {
	kv, err := o.js.KeyValue(ctx, bucket)
	if err != nil {
		return absent(err)
	}
	w, err := kv.WatchAll(ctx, append(opts, jetstream.IgnoreDeletes())...)
	if err != nil {
		return err
	}
	defer func() { _ = w.Stop() }()
	for {
		select {
		case e, ok := <-w.Updates():
			switch {
			case !ok:
				return errors.New("watch ended")
			case e == nil:
				return nil
			}
			seen(e)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func absent(err error) error {
	if errors.Is(err, jetstream.ErrBucketNotFound) || errors.Is(err, jetstream.ErrKeyNotFound) || errors.Is(err, jetstream.ErrStreamNotFound) {
		return fmt.Errorf("%w: %w", ErrAbsent, err)
	}
	return err
}

// systemPrefix starts the subjects on which instances take orders from their operator.
const systemPrefix = "wadm.sys."

func drainSubject(id shard.MemberID) string { return systemPrefix + string(id) + ".drain" }

// DrainReply answers a request to drain.
type DrainReply struct {
	Instance shard.MemberID `json:"instance"`
	// Held is how many keys the instance has to give up.
	Held int `json:"held"`
	// Already: it was draining when it was asked.
	Already bool `json:"already,omitempty"`
}

// ErrNoInstance means that nobody answers under that name.
var ErrNoInstance = errors.New("no such instance answers")

// RequestDrain asks an instance to give everything up and end. It returns once
// the instance has begun. Asking again is harmless.
func RequestDrain(ctx context.Context, nc *nats.Conn, id shard.MemberID) (DrainReply, error) {
	if _, err := shard.ParseMemberID(string(id)); err != nil {
		return DrainReply{}, fmt.Errorf("request drain: %w", err)
	}
	m, err := nc.RequestWithContext(ctx, drainSubject(id), nil)
	if errors.Is(err, nats.ErrNoResponders) {
		return DrainReply{}, fmt.Errorf("request drain of %s: %w", id, ErrNoInstance)
	}
	if err != nil {
		return DrainReply{}, fmt.Errorf("request drain of %s: %w", id, err)
	}
	var r DrainReply
	if err := json.Unmarshal(m.Data, &r); err != nil || r.Instance != id {
		return DrainReply{}, fmt.Errorf("request drain of %s: unreadable answer %.100q", id, m.Data)
	}
	return r, nil
}

// ServeDrain answers requests to drain the instance id with what drain returns,
// until ctx ends. drain must return at once; it may be called many times. Only who
// waits on a subject that inbox knows is heard: an answer to any other would let the
// caller publish in our name.
func ServeDrain(ctx context.Context, nc *nats.Conn, id shard.MemberID, inbox func(subject string) bool, drain func() DrainReply) error {
	msgs := make(chan *nats.Msg, 16)
	sub, err := nc.ChanSubscribe(drainSubject(id), msgs)
	if err != nil {
		return fmt.Errorf("serve drain: %w", err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	for {
		select {
		case <-ctx.Done():
			return nil
		case m := <-msgs:
			if !inbox(m.Reply) {
				continue // none at all: whoever orders this wants to know
			}
			r := drain()
			r.Instance = id
			body, err := json.Marshal(r)
			if err != nil {
				return fmt.Errorf("serve drain: %w", err)
			}
			if err := errors.Join(m.Respond(body), nc.FlushTimeout(time.Second)); err != nil && ctx.Err() == nil {
				continue // the answer is lost; what it tells happens all the same
			}
		}
	}
}
