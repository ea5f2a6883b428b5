package chaos

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"wadm/shard"
	"wadm/shard/natskv"
	"wadm/shard/ring"
)

// apiSubject begins the subjects of all requests to the API of JetStream. On
// apiAudit the server tells of each it has answered. To listen to the requests
// themselves would be an interest in them, and whoever asks a server that is not
// yet ready would wait for an answer instead of hearing that there is nobody.
const (
	apiSubject = "$JS.API"
	apiAudit   = "$JS.EVENT.ADVISORY.API"
)

// eventStream is the stream hosts' events are stored in.
const eventStream = "wasmbus_events"

// promptly is the time within which an acknowledgement and a later append of the
// same event belong to one handling of it.
const promptly = 250 * time.Millisecond

// given is how long a writer of claims waits for the answer.
const given = 5 * time.Second

// Most that may be under way at once (I8).
const (
	mostRequests = 10 // to the API of JetStream by one connection within a second, per lattice
	mostViews    = 5  // within joinPause, beside those that only let members go
	// joinPause gathers members that join, rampPause lies between two steps of
	// giving them their share.
	joinPause, rampPause = 3 * time.Second, 5 * time.Second
)

// Wire sees everything instances say to NATS and to each other, in the order in
// which the server that it is connected to passed it on.
type Wire struct {
	begun time.Time

	mu       sync.Mutex
	attempts []attempt
	replies  map[string]int // reply subject → attempt
	made     map[epochKey]int
	acks     map[uint64]time.Time
	events   map[string]uint64 // event id → stream sequence
	appends  []appended
	// waits are for the next message of commands that fits.
	waits   []*storedWait
	digests map[uint64]digest
	heard   map[shard.MemberID]time.Time
	views   []shard.View
	viewAt  []time.Time // when they were stored
	// requests to the API of JetStream, by connection.
	requests map[string][]time.Time
	resting  int // views before everybody leaves
	rings    map[uint64]*ring.Ring
	bad      []string
	subs     []*nats.Subscription
}

// appended is a message of commands at the time it was seen.
type appended struct {
	key   shard.Key
	epoch uint64
	cause string
	at    time.Time
}

type digest struct {
	sum uint64
	by  shard.MemberID
}

// NewWire has seen nothing.
func NewWire() *Wire {
	return &Wire{
		begun: time.Now(), replies: map[string]int{}, made: map[epochKey]int{}, acks: map[uint64]time.Time{}, events: map[string]uint64{},
		digests: map[uint64]digest{}, heard: map[shard.MemberID]time.Time{}, rings: map[uint64]*ring.Ring{}, requests: map[string][]time.Time{},
	}
}

// listen takes what passes from its return on until ctx ends.
func (w *Wire) listen(ctx context.Context, wg *sync.WaitGroup, nc *nats.Conn) error {
	// One channel for all, so that their order is kept.
	ch := make(chan *nats.Msg, 1<<16)
	for _, subject := range []string{natskv.ClaimSubject + ".>", natskv.CommandSubject + ".>", natskv.DefaultBeats + ".*", "$JS.ACK.>", apiAudit, "_INBOX.>"} {
		sub, err := nc.ChanSubscribe(subject, ch)
		if err != nil {
			return fmt.Errorf("listen to %s: %w", subject, err)
		}
		w.subs = append(w.subs, sub)
		context.AfterFunc(ctx, func() { _ = sub.Unsubscribe() })
	}
	if err := nc.Flush(); err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	wg.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case m := <-ch:
				w.take(m, time.Now())
			}
		}
	})
	return nil
}

// dropped tells of messages the checker itself was too slow for: then what it saw
// proves nothing.
func (w *Wire) dropped() (bad []string) {
	for _, sub := range w.subs {
		if n, err := sub.Dropped(); err != nil {
			bad = append(bad, fmt.Sprintf("the checker does not hear %s any more: %v", sub.Subject, err))
		} else if n > 0 {
			bad = append(bad, fmt.Sprintf("the checker lost %d messages of %s", n, sub.Subject))
		}
	}
	return bad
}

// reads tells requests for messages from those that make the API work: of the
// former there are as many as messages.
func reads(api string) bool {
	return slices.ContainsFunc([]string{".CONSUMER.MSG.NEXT.", ".STREAM.MSG.GET.", ".DIRECT.GET."}, func(of string) bool {
		return strings.HasPrefix(api, apiSubject+of)
	})
}

// held finds an answered claim by its epoch.
func (w *Wire) held(k shard.Key, epoch uint64) (shard.Record, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	i, ok := w.made[epochKey{k, epoch}]
	if !ok {
		return shard.Record{}, false
	}
	r, err := shard.DecodeRecord([]byte(w.attempts[i].body))
	return r, err == nil && r.State == shard.Held
}

func (w *Wire) take(m *nats.Msg, now time.Time) {
	if strings.HasPrefix(m.Reply, "$JS.ACK.") {
		return // what a consumer is given travels under its old subject
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	switch s := m.Subject; {
	case strings.HasPrefix(s, "_INBOX."):
		w.reply(m, now)
	case strings.HasPrefix(s, "$JS.ACK."):
		if seq, ok := acknowledged(s); ok && (len(m.Data) == 0 || strings.HasPrefix(string(m.Data), "+ACK")) {
			if _, before := w.acks[seq]; !before {
				w.acks[seq] = now
			}
		}
	case s == apiAudit:
		var audit struct {
			Subject string
			Client  struct {
				Name   string
				ID     uint64
				Server string
			}
		}
		if json.Unmarshal(m.Data, &audit) == nil && !reads(audit.Subject) {
			from := fmt.Sprint(audit.Client)
			w.requests[from] = append(w.requests[from], now)
		}
	case strings.HasPrefix(s, natskv.DefaultBeats+"."):
		w.beat(m.Data, now)
	case strings.HasPrefix(s, natskv.ClaimSubject+"."):
		w.claim(m, now)
	default:
		epoch := epochOf(m.Header.Get(jetstream.MsgIDHeader))
		for _, c := range commandsIn(m.Data) {
			a := appended{shard.Key(strings.TrimPrefix(s, natskv.CommandSubject+".")), epoch, c.Cause, now}
			w.appends = append(w.appends, a)
			w.waits = slices.DeleteFunc(w.waits, func(x *storedWait) bool {
				fits := x.fits(a)
				if fits {
					close(x.done)
				}
				return fits
			})
		}
	}
}

func (w *Wire) claim(m *nats.Msg, now time.Time) {
	r, err := shard.DecodeRecord(m.Data)
	if err != nil || m.Reply == "" {
		return // the ledger tells of it
	}
	expect, _ := strconv.ParseUint(m.Header.Get(jetstream.ExpectedLastSubjSeqHeader), 10, 64)
	w.replies[m.Reply] = len(w.attempts)
	w.attempts = append(w.attempts, attempt{
		key: shard.Key(strings.TrimPrefix(m.Subject, natskv.ClaimSubject+".")), owner: r.Owner, life: r.Incarnation, expect: expect, body: string(m.Data), call: now.Sub(w.begun),
	})
}

func (w *Wire) reply(m *nats.Msg, now time.Time) {
	i, ok := w.replies[m.Subject]
	if !ok {
		return
	}
	a := &w.attempts[i]
	if a.answered > 0 {
		return
	}
	var ack struct {
		Seq   uint64 `json:"seq"`
		Error *struct {
			Code int `json:"err_code"`
		} `json:"error"`
	}
	a.answered = now.Sub(w.begun)
	switch err := json.Unmarshal(m.Data, &ack); {
	case err != nil:
		a.failed = true // no responders
	case ack.Error != nil && ack.Error.Code == int(jetstream.JSErrCodeStreamWrongLastSequence):
		a.refused = true
	case ack.Error != nil || ack.Seq == 0:
		a.failed = true
	default:
		a.seq = ack.Seq
		w.made[epochKey{a.key, a.seq}] = i
	}
}

func (w *Wire) beat(data []byte, now time.Time) {
	b, err := shard.DecodeBeat(data)
	if err != nil {
		w.bad = append(w.bad, fmt.Sprintf("I7: unreadable heartbeat: %v", err))
		return
	}
	w.heard[b.ID] = now
	if b.Digest == 0 {
		return
	}
	if d, ok := w.digests[b.View]; ok && d.sum != b.Digest {
		w.bad = append(w.bad, fmt.Sprintf("I7: view %d: %s computes ring %x, %s %x", b.View, b.ID, b.Digest, d.by, d.sum))
		return
	}
	w.digests[b.View] = digest{b.Digest, b.ID}
}

// storedWait waits for a message of commands.
type storedWait struct {
	fits func(appended) bool
	done chan struct{}
}

// stored waits until a message of commands that fits is on its way to the ledger;
// false: ctx ended first, or there was none for long.
func (w *Wire) stored(ctx context.Context, fits func(appended) bool) bool {
	x := &storedWait{fits: fits, done: make(chan struct{})}
	w.mu.Lock()
	w.waits = append(w.waits, x)
	w.mu.Unlock()
	limit := time.NewTimer(10 * time.Second)
	defer limit.Stop()
	select {
	case <-x.done:
		return true
	case <-limit.C:
	case <-ctx.Done():
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.waits = slices.DeleteFunc(w.waits, func(o *storedWait) bool { return o == x })
	return false
}

// acknowledged reads the stream sequence in a subject of acknowledgement, if it
// is one of the events' stream.
func acknowledged(subject string) (uint64, bool) {
	p := strings.Split(subject, ".")
	at := 2 // $JS.ACK.stream.consumer.delivered.sequence…
	if len(p) >= 11 {
		at = 4 // with domain and account before the stream
	}
	if len(p) < at+4 || p[at] != eventStream {
		return 0, false
	}
	seq, err := strconv.ParseUint(p[at+3], 10, 64)
	return seq, err == nil
}

// followEvents learns which event is which message.
func (w *Wire) followEvents(ctx context.Context, js jetstream.JetStream) {
	followStream(ctx, js, eventStream, nil, func(m jetstream.Msg, seq uint64) {
		var e struct {
			ID string `json:"id"`
		}
		if json.Unmarshal(m.Data(), &e) == nil && e.ID != "" {
			w.mu.Lock()
			if _, ok := w.events[e.ID]; !ok {
				w.events[e.ID] = seq
			}
			w.mu.Unlock()
		}
	})
}

// followViews learns every view.
func (w *Wire) followViews(ctx context.Context, js jetstream.JetStream) {
	followStream(ctx, js, "KV_"+natskv.DefaultView, nil, func(m jetstream.Msg, seq uint64) {
		v, err := shard.DecodeView(m.Data())
		w.mu.Lock()
		defer w.mu.Unlock()
		if err != nil {
			w.bad = append(w.bad, fmt.Sprintf("I7: view %d is unreadable: %v", seq, err))
			return
		}
		v.Rev = seq
		stored := time.Now()
		if meta, err := m.Metadata(); err == nil {
			stored = meta.Timestamp
		}
		w.views, w.viewAt = append(w.views, v), append(w.viewAt, stored)
		if r, err := v.Ring(); err == nil {
			w.rings[seq] = r
		}
	})
}

// view is the newest view and its ring.
func (w *Wire) view() (shard.View, *ring.Ring, int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.views) == 0 {
		return shard.View{}, nil, 0
	}
	v := w.views[len(w.views)-1]
	return v, w.rings[v.Rev], len(w.views)
}

// check judges what needs to be seen as a whole; claims are those of the ledger,
// heads what it holds at the end.
func (w *Wire) check(claims []Claim, heads map[shard.Key]uint64, cfg Config) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	bad := append(slices.Clone(w.bad), w.dropped()...)
	type handling struct {
		key   shard.Key
		epoch uint64
		cause string
	}
	first := map[handling]bool{}
	for _, a := range w.appends {
		// An answer to a command leads to more in the name of the same event.
		h := handling{a.key, a.epoch, a.cause}
		if first[h] {
			continue
		}
		first[h] = true
		seq, ok := w.events[a.cause]
		if !ok {
			continue // no event, but a timer, a manifest, an answer
		}
		if at, acked := w.acks[seq]; acked && at.Before(a.at) && a.at.Sub(at) < promptly {
			bad = append(bad, fmt.Sprintf("I5: %s: event %d was acknowledged %v before the commands of epoch %d that it led to were stored", a.key, seq, a.at.Sub(at), a.epoch))
		}
	}
	for _, c := range claims {
		if c.Record.State != shard.Held || c.Record.View == 0 {
			continue
		}
		r := w.rings[c.Record.View]
		if r == nil {
			continue
		}
		if owner, _ := r.Owner(string(c.Key)); shard.MemberID(owner) != c.Record.Owner {
			bad = append(bad, fmt.Sprintf("I6: %s: %s claimed at %d by view %d, which gives it to %s", c.Key, c.Record.Owner, c.Seq, c.Record.View, owner))
		}
	}
	bad = append(bad, w.movement()...)
	if n, at := w.inFlight(); n > cfg.InFlight {
		silent := 0
		for _, a := range w.attempts {
			if a.answered == 0 && a.call <= at && at-a.call < given {
				silent++
			}
		}
		bad = append(bad, fmt.Sprintf("I8: %d claims of one instance in flight at once, at %v; %d of all were never answered", n, ms(at), silent))
	}
	if n := w.requestRate(); n > mostRequests*(cfg.Lattices+max(0, cfg.Churning)) {
		bad = append(bad, fmt.Sprintf("I8: %d requests to the API of JetStream by one connection within a second", n))
	}
	bad = append(bad, herdOfViews(w.views, w.viewAt)...)
	if err := linearizable(w.attempts, claims, heads, time.Since(w.begun)); err != nil {
		bad = append(bad, "I1: "+err.Error())
	}
	return bad
}

// inFlight is the most claims of one life of an instance that were on their way
// at once. One that is not answered counts until its writer gave it up.
func (w *Wire) inFlight() (most int, when time.Duration) {
	type change struct {
		at time.Duration
		by int
	}
	lives := map[shard.Incarnation][]change{}
	for _, a := range w.attempts {
		end := a.call + given
		if a.answered > 0 {
			end = min(end, a.answered)
		}
		lives[a.life] = append(lives[a.life], change{a.call, 1}, change{end, -1})
	}
	for _, cs := range lives {
		slices.SortFunc(cs, func(a, b change) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.by, b.by)) })
		now := 0
		for _, c := range cs {
			if now += c.by; now > most {
				most, when = now, c.at
			}
		}
	}
	return most, when
}

// requestRate is the most requests of one connection to the API within a second,
// without those for messages.
func (w *Wire) requestRate() (most int) {
	for _, at := range w.requests {
		most = max(most, crowd(at, time.Second))
	}
	return most
}

// crowd is how many of the times, which are in order, lie within a span.
func crowd(times []time.Time, span time.Duration) (most int) {
	first := 0
	for i, t := range times {
		for t.Sub(times[first]) >= span {
			first++
		}
		most = max(most, i-first+1)
	}
	return most
}

// herdOfViews checks that members are let in together, given their share step by
// step, that no view is made for nothing, and that few are made at once (I8).
func herdOfViews(views []shard.View, at []time.Time) (bad []string) {
	var joined, stepped time.Time
	for i := 1; i < len(views); i++ {
		v, before := views[i], views[i-1]
		if v.Rev != before.Rev+1 {
			joined, stepped = time.Time{}, time.Time{}
			continue // one was replaced before it was read
		}
		joins := slices.ContainsFunc(v.Members, func(m shard.ViewMember) bool { _, was := before.Member(m.ID); return !was })
		begins := v.Ramp != nil && (before.Ramp == nil || before.Ramp.Step > v.Ramp.Step)
		steps := v.Ramp != nil && before.Ramp != nil && before.Ramp.Step < v.Ramp.Step
		switch {
		case slices.Equal(v.Members, before.Members) && (v.Ramp == nil) == (before.Ramp == nil) && !begins && !steps:
			bad = append(bad, fmt.Sprintf("I8: view %d (%s) of %s changes nothing", v.Rev, v.Cause, v.Proposer))
		case v.Ramp == nil:
			// There was nobody to take from, so nothing has to wait; or the end of a ramp.
		case joins && !joined.IsZero() && at[i].Sub(joined) < joinPause:
			bad = append(bad, fmt.Sprintf("I8: view %d (%s) lets members in %v after the last that did", v.Rev, v.Cause, at[i].Sub(joined)))
		case steps && !stepped.IsZero() && at[i].Sub(stepped) < rampPause:
			bad = append(bad, fmt.Sprintf("I8: view %d (%s) moves lattices to who joined %v after the last that did", v.Rev, v.Cause, at[i].Sub(stepped)))
		}
		if joins {
			joined = at[i]
		}
		if begins || steps {
			stepped = at[i]
		}
	}
	var crowded []time.Time
	for i, v := range views {
		// Who asks to go is let go at once, with two views at most, each of which changes something.
		if !leaving(v) {
			crowded = append(crowded, at[i])
		}
	}
	if n := crowd(crowded, joinPause); n > mostViews {
		bad = append(bad, fmt.Sprintf("I8: %d views within %v", n, joinPause))
	}
	return bad
}

// leaving tells whether a view does nothing but let members go in order.
func leaving(v shard.View) bool {
	for what := range strings.SplitSeq(v.Cause, ", ") {
		if !strings.HasPrefix(what, "draining ") && !strings.HasPrefix(what, "left ") {
			return false
		}
	}
	return true
}

// herd is what I8 bounds, at its most: claims in flight of one instance, views
// within joinPause, requests of one connection to the API within a second.
func (w *Wire) herd() (claims, views, requests int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	claims, _ = w.inFlight()
	return claims, crowd(w.viewAt, joinPause), w.requestRate()
}

// history is all views up to the rest, and when they were stored.
func (w *Wire) history() ([]shard.View, []time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.views[:w.resting]), slices.Clone(w.viewAt[:w.resting])
}

// rest marks the end of what moves() and history() give.
func (w *Wire) rest() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.resting = len(w.views)
}

// moves counts the partitions that moved, and those that had to, over all views
// after the first one, up to the rest.
func (w *Wire) moves() (moved, least, all int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.compare(w.views[:w.resting], func(_ shard.View, m ring.Movement) {
		moved, least, all = moved+m.Moved, least+m.Least, m.Partitions
	})
	return moved, least, all
}

func (w *Wire) compare(views []shard.View, seen func(shard.View, ring.Movement)) {
	var from *ring.Ring
	var before shard.View
	for _, v := range views {
		to := w.rings[v.Rev]
		if to == nil {
			continue
		}
		if from != nil {
			if m, err := ring.Compare(from, to); err == nil {
				m.Least = least(before, from, v, to)
				seen(v, m)
			}
		}
		from, before = to, v
	}
}

// least is what has to move from one view to the next. What those had who go is given
// to those who stay before those who come get their share, of that too: members change
// in one view together so that less moves, not more.
func least(before shard.View, from *ring.Ring, after shard.View, to *ring.Ring) (n int) {
	steps := []*ring.Ring{from, to}
	stay := before
	stay.Members = nil
	for _, m := range before.Members {
		if now, ok := after.Member(m.ID); ok {
			m.State, m.Units = now.State, min(m.Units, now.Units)
			stay.Members = append(stay.Members, m)
		}
	}
	if mid, err := stay.Ring(); err == nil && len(stay.Members) > 0 {
		steps = []*ring.Ring{from, mid, to}
	}
	for i, r := range steps[1:] {
		if m, err := ring.Compare(steps[i], r); err == nil {
			n += m.Least
		}
	}
	return n
}

// movement checks that from one view to the next no more partitions move than must,
// and 2 % of all (I6).
func (w *Wire) movement() []string {
	var bad []string
	w.compare(w.views, func(v shard.View, m ring.Movement) {
		if float64(m.Moved-m.Least) > 0.02*float64(m.Partitions) {
			bad = append(bad, fmt.Sprintf("I6: view %d (%s) moves %d of %d partitions, least %d", v.Rev, v.Cause, m.Moved, m.Partitions, m.Least))
		}
	})
	return bad
}
